"""Shards as FFCV's .beton files: written by us, read through NumPy or through FFCV."""
