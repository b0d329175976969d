"""Figures of the documents: equal results give equal bytes."""

import io
from collections.abc import Callable

from matplotlib import style
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

_STYLE = {"svg.hashsalt": "ray_defense", "font.size": 9}  # the salt makes its ids reproducible
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def draw_svg(size: tuple[float, float], draw: Callable[[Figure], None]) -> bytes:
    """Returns a figure as SVG.

    Args:
        size: Width and height, inches.
        draw: What fills an empty figure.
    """
    with style.context(["default", _STYLE]):
        canvas = FigureCanvasSVG(Figure(figsize=size, layout="constrained"))
        draw(canvas.figure)
        svg = io.StringIO()
        canvas.print_svg(svg, metadata=_NO_METADATA)  # type: ignore[no-untyped-call]
    return svg.getvalue().encode()
