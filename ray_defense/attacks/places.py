"""Where a small trigger sits in an image of any size: its place is given for 32 pixels a side, others in proportion."""

NOMINAL_SIDE = 32  # pixels


def scaled(px: int, side: int, least: int = 0) -> int:
    """Returns how many pixels of `side` correspond to `px` of 32, and at least `least`."""
    return max(least, round(px * side / NOMINAL_SIDE))


def near_end(side: int, length: int, margin: int) -> slice:
    """Returns the `length` pixels of `side` that end `margin` pixels before the last one does."""
    return slice(side - margin - length, side - margin)
