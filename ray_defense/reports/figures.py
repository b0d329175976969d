"""The report's pictures as data URIs: plots are SVG text, images PNG; same input, same bytes."""

import base64
import io
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ray_defense.core.neutral_directory import import_apart

if TYPE_CHECKING:  # importing matplotlib writes its caches to the user's home
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

CLEAN_COLOR = "#2f6690"
POISONED_COLOR = "#c8553d"
NEUTRAL_COLOR = "#5b6470"
MIN_PHOTOGRAPH = 96  # pixels of the longer side: a smaller picture is shown pixel by pixel
MAX_POINTS = 2000  # a map of points draws no more of either kind
MAX_NAMED_CLASSES = 25  # more do not fit: the axis then counts classes instead of naming them
NUM_BINS = 60
MAX_SCORE_RATIO = 1e9  # of the largest score to the smallest one on a logarithmic axis
_STYLE = {
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


def thumbnail_uri(image: np.ndarray) -> str:
    """Returns `image`, uint8 [H, W, 3], as a data URI for a page of many pictures.

    A picture of less than MIN_PHOTOGRAPH pixels a side is a PNG, exact to the pixel, a larger one a
    JPEG of good quality, which takes a tenth of the bytes.
    """
    if max(image.shape[:2]) < MIN_PHOTOGRAPH:
        return png_uri(image)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def svg_uri(svg: str) -> str:
    """Returns the SVG text as a data URI.

    A browser that shows it as an image runs no script in it and keeps its ids apart from those in
    other plots.
    """
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def draw_class_balance(counts: Sequence[int], names: Sequence[str]) -> str:
    """Returns the SVG bar chart of the trusted samples by class, with the even share as a line.

    Args:
        counts: The number of trusted samples of each class.
        names: The name of each class.
    """
    even_share = sum(counts) / max(len(counts), 1)

    def draw_named(axes: "Axes") -> None:
        axes.barh(range(len(counts)), counts, height=0.7, color=CLEAN_COLOR)
        axes.axvline(even_share, color=NEUTRAL_COLOR, linestyle="--", linewidth=1)
        labels = [drawable(number, name) for number, name in enumerate(names)]
        axes.set_yticks(range(len(counts)), labels)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("trusted samples (dashed: an even share)")
        _show_whole_numbers(axes.xaxis)

    def draw_numbered(axes: "Axes") -> None:
        axes.stairs(counts, np.arange(len(counts) + 1) - 0.5, fill=True, color=CLEAN_COLOR)
        axes.axhline(even_share, color=NEUTRAL_COLOR, linestyle="--", linewidth=1)
        axes.set(xlabel="class number (dashed: an even share)", ylabel="trusted samples")
        _show_whole_numbers(axes.xaxis)

    if len(counts) > MAX_NAMED_CLASSES:
        return as_svg(draw_numbered, 9.0, 2.6)
    return as_svg(draw_named, 5.6, 1.0 + 0.24 * len(counts))


def draw_score_histogram(
    scores: np.ndarray,
    poisoned: np.ndarray | None,
    *,
    trusted_threshold: float,
    flagged_threshold: float,
) -> str:
    """Returns the SVG histogram of the scores: the share of each group that falls into each bin.

    The axis is logarithmic, with zeros in a bin of their own, where no score is negative and the
    scores span two decades.

    Args:
        scores: The scores, float64 [N].
        poisoned: The truth, bool [N], which makes the groups; None: all samples are one group.
        trusted_threshold: The largest score of the trusted split.
        flagged_threshold: The smallest score of the flagged split.
    """
    edges, linear_until = histogram_bins(scores)
    groups = {"all samples": (scores, NEUTRAL_COLOR)}
    if poisoned is not None:
        groups = {
            "clean": (scores[~poisoned], CLEAN_COLOR),
            "poisoned": (scores[poisoned], POISONED_COLOR),
        }

    def draw_groups(axes: "Axes") -> None:
        for name, (group, color) in groups.items():
            share = np.histogram(group, edges)[0] / max(len(group), 1)
            label = f"{name} ({len(group):,})"
            axes.stairs(share, edges, fill=True, color=color, alpha=0.45, label=label)
            axes.stairs(share, edges, color=color, linewidth=1)

    def draw_thresholds(axes: "Axes") -> None:
        axes.axvline(
            trusted_threshold,
            color=CLEAN_COLOR,
            linestyle="--",
            linewidth=1,
            label="trusted: up to here",
        )
        axes.axvline(
            flagged_threshold,
            color=POISONED_COLOR,
            linestyle=":",
            linewidth=1.4,
            label="flagged: from here",
        )

    def draw(axes: "Axes") -> None:
        draw_groups(axes)
        draw_thresholds(axes)
        if linear_until is not None:
            axes.set_xscale("symlog", linthresh=linear_until, linscale=0.4)
            exponents = np.arange(np.ceil(np.log10(linear_until)), np.log10(edges[-1]))
            ticks = 10.0**exponents
            if edges[0] == 0:
                ticks = np.concatenate([[0.0], ticks])
            axes.set_xticks(ticks)
            axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlim(edges[0], edges[-1])
        _show_percent(axes.yaxis)
        axes.set(xlabel="score (larger is more suspicious)", ylabel="share of the group")
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, 1.16),
            ncols=4,
            columnspacing=1.2,
            handlelength=1.4,
        )

    return as_svg(draw, 9.0, 3.3)


def draw_roc_curve(scores: np.ndarray, poisoned: np.ndarray) -> str:
    """Returns the SVG ROC curve of the scores.

    Args:
        scores: The scores, float64 [N].
        poisoned: The truth, bool [N], with both values present.
    """
    # Importing sklearn takes a second and draws from Python's global random generator.
    from sklearn.metrics import roc_curve

    false_positive_rate, true_positive_rate, _ = roc_curve(poisoned, scores)

    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], color="#b6bdc6", linestyle="--", linewidth=1)
        axes.plot(
            false_positive_rate,
            true_positive_rate,
            color=POISONED_COLOR,
            linewidth=1.8,
            clip_on=False,
        )
        axes.set(xlabel="clean samples flagged", ylabel="poisoned samples flagged")
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        _show_percent(axes.xaxis)
        _show_percent(axes.yaxis)

    return as_svg(draw, 3.9, 3.4)


def draw_repair_curve(
    numbers: Sequence[int], acc: Sequence[float], asr: Sequence[float | None]
) -> str:
    """Returns the SVG curves of ACC and, where measured, ASR over the rounds of D-BR.

    Args:
        numbers: The number of each round.
        acc: The ACC after each round, in [0, 1].
        asr: The ASR after each round, in [0, 1]; None where it was not measured.
    """
    measured_numbers = []
    measured_asr = []
    for number, rate in zip(numbers, asr, strict=True):
        if rate is not None:
            measured_numbers.append(number)
            measured_asr.append(rate)

    def draw(axes: "Axes") -> None:
        axes.plot(
            numbers, acc, color=CLEAN_COLOR, marker="o", markersize=3, label="ACC", clip_on=False
        )
        if measured_asr:
            axes.plot(
                measured_numbers,
                measured_asr,
                color=POISONED_COLOR,
                marker="s",
                markersize=3,
                label="ASR",
                clip_on=False,
            )
        axes.set(xlabel="D-BR round", ylim=(0, 1))
        _show_whole_numbers(axes.xaxis)
        _show_percent(axes.yaxis)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=2)

    return as_svg(draw, 9.0, 2.8)


def draw_points(points: np.ndarray, flagged: np.ndarray) -> str:
    """Returns the SVG map of samples in the plane, the flagged ones drawn over the others.

    Of more than MAX_POINTS samples of a kind it draws as many, evenly chosen in their order.

    Args:
        points: The place of each sample, float [N, 2].
        flagged: Which samples are flagged, bool [N].
    """

    def draw_kind(axes: "Axes", places: np.ndarray, label: str, color: str, size: float) -> None:
        chosen = np.linspace(0, len(places) - 1, min(len(places), MAX_POINTS)).astype(int)
        axes.scatter(
            places[chosen, 0],
            places[chosen, 1],
            s=size,
            color=color,
            alpha=0.55,
            linewidths=0,
            label=f"{label} ({len(places):,})",
        )

    def draw(axes: "Axes") -> None:
        draw_kind(axes, points[~flagged], "not flagged", CLEAN_COLOR, 7)
        draw_kind(axes, points[flagged], "flagged", POISONED_COLOR, 14)
        axes.set(xlabel="first axis", ylabel="second axis")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2, markerscale=1.6)

    return as_svg(draw, 5.6, 4.4)


def draw_clusters(points: np.ndarray, labels: np.ndarray, poisoned: np.ndarray) -> str:
    """Returns the SVG map of samples, clean ones in colors by label, the poisoned in black.

    Args:
        points: The place of each sample, float [N, 2].
        labels: As received, int [N].
        poisoned: The truth, bool [N].
    """

    def draw(axes: "Axes") -> None:
        clean = points[~poisoned]
        colors = labels[~poisoned] % 10
        axes.scatter(clean[:, 0], clean[:, 1], s=7, c=colors, cmap="tab10", linewidths=0)
        axes.scatter(
            points[poisoned, 0],
            points[poisoned, 1],
            s=7,
            color="#111111",
            linewidths=0,
            label=f"poisoned ({int(poisoned.sum()):,})",
        )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), markerscale=1.6)

    return as_svg(draw, 5.6, 4.4)


def histogram_bins(scores: np.ndarray) -> tuple[np.ndarray, float | None]:
    """Returns the bins of a histogram of the scores, each of which is in one.

    Args:
        scores: Finite scores, float64 [N], N > 0.

    Returns:
        The increasing edges of the bins and, for a logarithmic axis, the score below which it is
        linear.
    """
    low = float(scores.min())
    high = float(scores.max())
    largest = max(abs(low), abs(high))
    if high - low <= max(1e-9 * largest, 1e-200):
        # All scores are equal, or too close for bins to be told apart.
        half_width = max(abs(low), 1.0) / 2
        return np.linspace(low - half_width, low + half_width, NUM_BINS), None
    if low < 0 or low > high / 100:
        return np.linspace(low, high, NUM_BINS), None
    smallest = max(float(scores[scores > 0].min()), high / MAX_SCORE_RATIO)
    if smallest >= high:
        return np.linspace(low, high, NUM_BINS), None
    edges = np.geomspace(smallest, high, NUM_BINS)
    if low < smallest:
        edges = np.concatenate([[0.0], edges])
    return edges, smallest


def drawable(number: int, name: str, longest: int = 24) -> str:
    """Returns what pictures call a class.

    Args:
        number: The number of the class, shown where the bundled font cannot draw its name.
        name: The name of the class.
        longest: The number of characters after which the name is cut off.
    """
    if not all(char.isprintable() and ord(char) in _glyphs() for char in name):
        return f"class {number}"
    if len(name) > longest:
        return name[:longest] + "…"
    return name


@cache
def _glyphs() -> frozenset[int]:
    """Returns the code points that the font bundled with matplotlib can draw."""
    import_apart("matplotlib")
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def _show_whole_numbers(axis: "Axis") -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))


def _show_percent(axis: "Axis") -> None:
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))


def as_svg(draw: "Callable[[Axes], None]", width_in: float, height_in: float) -> str:
    """Returns the SVG text of a plot; the same plot gives the same text.

    Args:
        draw: Draws the plot on the axes it is given.
        width_in: The width of the figure in inches.
        height_in: The height of the figure in inches.
    """
    import_apart("matplotlib")
    from matplotlib import style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        canvas = FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        buffer = io.StringIO()
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        canvas.print_svg(buffer, metadata=no_metadata)  # type: ignore[no-untyped-call]
    return buffer.getvalue()
