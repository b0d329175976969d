"""Around the decoders of images: what a file is made of, and a process that may be killed."""
