"""Where a small trigger lies in an image: positions for 32 pixels a side, scaled to other sizes."""

NOMINAL_SIDE = 32  # pixels


def scaled(px: int, side: int, least: int = 0) -> int:
    """Returns how many pixels of `side` correspond to `px` of 32, and at least `least`."""
    return max(least, round(px * side / NOMINAL_SIDE))


def near_end(side: int, length: int, margin: int) -> slice:
    """Returns `length` consecutive pixels of `side`, with `margin` pixels after them."""
    return slice(side - margin - length, side - margin)
