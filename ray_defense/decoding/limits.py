"""How many parts an image file may have; each limit with the reason for it.

"Honest" files are those that cameras, image programs and writers of datasets make.
"""

# Every scan of a JPEG passes over all its blocks, so the time is pixels times scans. Honest
# progressive files had 6 to 18 scans.
MAX_JPEG_SCANS = 32

# Segments of a JPEG (tables, metadata, scans) and chunks of a PNG cost time each, however empty
# they are. Metadata comes in some hundred segments at most; libpng cuts the pixels into chunks of
# 8 KiB, which gives 16,384 at the cap of bytes.
MAX_JPEG_SEGMENTS = 4096
MAX_PNG_CHUNKS = 2**16

# Of PPM or PGM, with its comments; image programs write one.
MAX_PPM_HEADER_BYTES = 4096

# A GIF is walked over in Python, a microsecond or so a block. Whole blocks have 255 bytes.
MAX_GIF_BLOCKS = 2**20

# Pictures, thumbnails, masks and tiles of a HEIC file; cameras give each size once.
MAX_HEIF_PICTURES = 1024

# Tags and strips of a TIFF. Cameras and scanners write some 30 tags, and one row a strip at most.
MAX_TIFF_ENTRIES = 512
MAX_TIFF_STRIPS = 2**16
