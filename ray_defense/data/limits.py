"""How small and how large what a source holds may be; each limit with the reason for it.

"Honest" files are those that cameras, image programs and writers of datasets make.
"""

MIN_SIDE = 8  # pixels; an encoded image with a shorter side is rejected
MAX_SIDE = 4096  # pixels, of an image in a shard; the .beton format itself would allow 65,535

# The default cap: a 24-megapixel camera stays below 33 megapixels, which take 100 MB once decoded.
MAX_PIXELS = 2**25

# The highest cap that a source may set: 400 MB once decoded, and still below Pillow's own limit.
MAX_SETTABLE_PIXELS = 2**27

# No encoded image below the pixel cap needs more bytes than these.
MAX_ENCODED_BYTES = 4 * MAX_PIXELS


def max_encoded_bytes(max_pixels: int) -> int:
    """Returns how many bytes an image file may have where images may have `max_pixels`."""
    return max(MAX_ENCODED_BYTES, 4 * max_pixels)


# Pixels and bytes of the two variants that Pillow decodes in Python: plain-text PPM and run-length
# BMP. A megapixel takes one to two seconds; as text it has 12 MB at most.
MAX_SLOW_PIXELS = 2**20
MAX_SLOW_BYTES = 2**24

# Seconds of CPU time for one image. The slowest images below the caps took 2 to 6 on one core, and
# honest ones of 24 megapixels less than 1.
MAX_DECODE_CPU_S = 60

# Bytes of one range of images in memory, of which a task holds several copies: 5,000 images of
# 512 x 512 stay below it.
MAX_RANGE_BYTES = 2**32

# ImageNet-21k has 21,841 classes, with names of 16 bytes on average.
MAX_CLASSES = 2**16
MAX_CLASS_NAMES_BYTES = 2**21
MAX_NAME_CHARACTERS = 255  # of a class; file systems allow as many bytes

# Images that a table may name by their paths: sixteen million, or two million with long paths.
MAX_NAMED_FILES = 2**24
MAX_PATHS_BYTES = 2**29

MAX_REASON_CHARACTERS = 300  # of an error text that may quote the file
