"""How small and how large an image may be, in the files of a source and in shards."""

MIN_SIDE = 8  # pixels; an encoded image with a shorter side is rejected
MAX_SIDE = 4096  # pixels, of an image in a shard; the .beton format itself would allow 65,535

# A 24-megapixel camera stays below this cap of 33 megapixels, which take 100 MB once decoded.
MAX_PIXELS = 2**25

# No encoded image below the pixel cap needs more bytes than these.
MAX_ENCODED_BYTES = 4 * MAX_PIXELS
