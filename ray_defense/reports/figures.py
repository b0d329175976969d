"""The report's pictures: plots as SVG text and images as PNG, both as data URIs; same input, same bytes."""

import base64
import io
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter
from PIL import Image

CLEAN, POISONED, NEUTRAL = "#2f6690", "#c8553d", "#5b6470"
MOST_NAMED_CLASSES = 25  # more do not fit: the axis then counts classes instead of naming them
NUM_BINS = 60
WIDEST = 1e9  # ratio of the largest score to the smallest that gets a place of its own on a logarithmic axis
STYLE = {
    "svg.hashsalt": "ray_defense",
    "text.parse_math": False,  # a class may be called `$x$`
    "font.size": 9.0,
    "axes.edgecolor": "#9aa3ad",
    "axes.labelcolor": "#333a42",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e9ed",
    "xtick.color": "#5b6470",
    "ytick.color": "#5b6470",
    "legend.frameon": False,
}


def png_uri(image: np.ndarray) -> str:
    """Returns `image`, uint8 [H, W, 3], as a PNG data URI."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def svg_uri(svg: str) -> str:
    """Returns the SVG text as a data URI: shown as an image it can run nothing, and its ids meet no other plot's."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def class_balance(counts: Sequence[int], names: Sequence[str]) -> str:
    """Returns the SVG bar chart of the trusted split's `counts` by class, with the even share as a line."""
    even = sum(counts) / max(len(counts), 1)

    def draw_named(axes: Axes) -> None:
        axes.barh(range(len(counts)), counts, height=0.7, color=CLEAN)
        axes.axvline(even, color=NEUTRAL, linestyle="--", linewidth=1)
        axes.set_yticks(range(len(counts)), [drawable(number, name) for number, name in enumerate(names)])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("trusted samples (dashed: an even share)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    def draw_numbered(axes: Axes) -> None:
        axes.stairs(counts, np.arange(len(counts) + 1) - 0.5, fill=True, color=CLEAN)
        axes.axhline(even, color=NEUTRAL, linestyle="--", linewidth=1)
        axes.set(xlabel="class number (dashed: an even share)", ylabel="trusted samples")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    if len(counts) > MOST_NAMED_CLASSES:
        return as_svg(draw_numbered, 9.0, 2.6)
    return as_svg(draw_named, 5.6, 1.0 + 0.24 * len(counts))


def score_histogram(
    scores: np.ndarray, poisoned: np.ndarray | None, trusted_threshold: float, poisoned_threshold: float
) -> str:
    """Returns the SVG histogram of `scores`, float64 [N], by truth (bool [N], or None): each group's share in each bin.

    The axis is logarithmic, with zeros in a bin of their own, where no score is negative and they span two decades.
    """
    edges, linear_until = _bins(scores)
    groups = {"all samples": (scores, NEUTRAL)}
    if poisoned is not None:
        groups = {"clean": (scores[~poisoned], CLEAN), "poisoned": (scores[poisoned], POISONED)}

    def draw(axes: Axes) -> None:
        for name, (group, color) in groups.items():
            share = np.histogram(group, edges)[0] / max(len(group), 1)
            axes.stairs(share, edges, fill=True, color=color, alpha=0.45, label=f"{name} ({len(group):,})")
            axes.stairs(share, edges, color=color, linewidth=1)
        axes.axvline(trusted_threshold, color=CLEAN, linestyle="--", linewidth=1, label="trusted: up to here")
        axes.axvline(poisoned_threshold, color=POISONED, linestyle=":", linewidth=1.4, label="poisoned: from here")
        if linear_until is not None:
            axes.set_xscale("symlog", linthresh=linear_until, linscale=0.4)
            decades = 10.0 ** np.arange(np.ceil(np.log10(linear_until)), np.log10(edges[-1]))
            axes.set_xticks([*([0.0] if edges[0] == 0 else []), *decades])
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.set_xlim(edges[0], edges[-1])
        _percent(axes.yaxis)
        axes.set(xlabel="score (larger is more suspicious)", ylabel="share of the group")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=4, columnspacing=1.2, handlelength=1.4)

    return as_svg(draw, 9.0, 3.3)


def roc(scores: np.ndarray, poisoned: np.ndarray) -> str:
    """Returns the SVG ROC curve of `scores`, float64 [N], against the truth, bool [N] with both values present."""
    from sklearn.metrics import roc_curve  # its import takes a second and draws from Python's global generator

    false_alarms, found, _ = roc_curve(poisoned, scores)

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="#b6bdc6", linestyle="--", linewidth=1)
        axes.plot(false_alarms, found, color=POISONED, linewidth=1.8, clip_on=False)
        axes.set(xlabel="clean samples flagged", ylabel="poisoned samples flagged")
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        _percent(axes.xaxis)
        _percent(axes.yaxis)

    return as_svg(draw, 3.9, 3.4)


def repair_curve(numbers: Sequence[int], acc: Sequence[float], asr: Sequence[float | None]) -> str:
    """Returns the SVG curves of ACC and, where measured, ASR (fractions) over the numbered rounds of D-BR."""

    def draw(axes: Axes) -> None:
        axes.plot(numbers, acc, color=CLEAN, marker="o", markersize=3, label="ACC", clip_on=False)
        measured = [(number, rate) for number, rate in zip(numbers, asr, strict=True) if rate is not None]
        if measured:
            shown, rates = zip(*measured, strict=True)
            axes.plot(shown, rates, color=POISONED, marker="s", markersize=3, label="ASR", clip_on=False)
        axes.set(xlabel="D-BR round", ylim=(0, 1))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _percent(axes.yaxis)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=2)

    return as_svg(draw, 9.0, 2.8)


def _bins(scores: np.ndarray) -> tuple[np.ndarray, float | None]:
    """Returns the bin edges and, for a logarithmic axis, the score below which it is linear."""
    low, high = float(scores.min()), float(scores.max())
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-200):  # all equal, or too close for bins to be told apart
        half = max(abs(low), 1.0) / 2
        return np.linspace(low - half, low + half, NUM_BINS), None
    if low < 0 or low > high / 100:
        return np.linspace(low, high, NUM_BINS), None
    smallest = max(float(scores[scores > 0].min()), high / WIDEST)
    if smallest >= high:
        return np.linspace(low, high, NUM_BINS), None
    shown = np.geomspace(smallest, high, NUM_BINS)
    return (np.concatenate([[0.0], shown]) if low < smallest else shown), smallest


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def drawable(number: int, name: str, longest: int = 24) -> str:
    """Returns the class's `name` shortened, or its `number` where the bundled font cannot draw the name."""
    if not all(char.isprintable() and ord(char) in _glyphs() for char in name):
        return f"class {number}"
    return name[:longest] + "…" * (len(name) > longest)


def _percent(axis: Axis) -> None:
    axis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))


def as_svg(draw: Callable[[Axes], None], width_in: float, height_in: float) -> str:
    """Returns the SVG text of what `draw` draws, the same for the same drawing."""
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        canvas = FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        buffer = io.StringIO()
        canvas.print_svg(buffer, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return buffer.getvalue()
