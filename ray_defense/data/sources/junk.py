"""Files and folders that programs leave among images and that nobody means as data."""

# By their names in lower case; names that start with a dot are junk too.
_KNOWN = {
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "__macosx",  # of archives that were made on a Mac
    "@eadir",  # thumbnails of a NAS
}


def is_junk(name: str) -> bool:
    """Returns whether a file or folder of this name is no part of the data."""
    return name.startswith(".") or name.lower() in _KNOWN
