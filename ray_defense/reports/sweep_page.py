"""The offline page of a sweep: heat maps over two axes (the paper's Fig. 11), curves over numbers, and the table."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import escape
from matplotlib.axes import Axes

from ray_defense.reports.figures import CLEAN, NEUTRAL, POISONED, as_svg
from ray_defense.reports.metrics import NUMBERS
from ray_defense.reports.run_page import template

METRICS = {  # column of the table -> its name on the page
    "auroc": "AUROC of the score",
    "trusted_precision": "precision of the trusted split (clean-precision)",
    "poisoned_precision": "precision of the poisoned split (poison-precision)",
    "backdoored_acc": "backdoored model, ACC",
    "backdoored_asr": "backdoored model, ASR",
    "d_br_acc": "D-BR, ACC",
    "d_br_asr": "D-BR, ASR",
    "d_st_acc": "D-ST, ACC",
    "d_st_asr": "D-ST, ASR",
}
_PAIR = "score.tau"  # its values are pairs: two axes of a heat map in one
_COLORS = (CLEAN, POISONED, NEUTRAL, "#7a9e3b", "#8a5aa8", "#c2912e")


def render(recipe: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the HTML page of the trials `rows` (see `sweep.row`) of `recipe`, plain data; the same for the same rows."""
    names = [name for name in rows[0] if "." in name or name in recipe]  # the axes: dotted paths or fields of the recipe
    shown = {name: title for name, title in METRICS.items() if any(row[name] is not None for row in rows)}
    blind_ones = {name: name.replace("_", " ") for name in NUMBERS if any(row[name] is not None for row in rows)}
    return template("sweep.html.j2").render(
        recipe=recipe["name"],
        axes=names,
        metrics=shown | blind_ones,
        rows=rows,
        figures=[(title, figure) for name, title in shown.items() if (figure := draw(rows, names, name)) is not None],
        config=escape(json.dumps(recipe, indent=2)),
    )


def draw(rows: Sequence[Mapping[str, Any]], axes: Sequence[str], metric: str) -> str | None:
    """Returns the SVG of one metric over the axes, averaged over what is not drawn; None where no axis can be drawn.

    Pairs of transforms make a heat map, first transform down and second across; two axes of numbers another; one axis of
    numbers a curve, a line for each value of the first other axis but the seed, with the range over the rest.
    """
    if _PAIR in axes and all(len(row[_PAIR].split(",")) == 2 for row in rows):
        pairs = [tuple(row[_PAIR].split(",")) for row in rows]
        return heat_map(pairs, [row[metric] for row in rows], ("second transform", "first transform"))
    numbers = [name for name in axes if name != "seed" and all(_is_number(row[name]) for row in rows)]
    if len(numbers) == 2:
        pairs = [(float(row[numbers[0]]), float(row[numbers[1]])) for row in rows]
        return heat_map(pairs, [row[metric] for row in rows], (numbers[1], numbers[0]))
    if len(numbers) == 1:
        lines = next((name for name in axes if name not in (*numbers, "seed")), None)
        return curves(rows, numbers[0], lines, metric)
    return None


def heat_map(pairs: Sequence[tuple[Any, Any]], values: Sequence[float | None], names: tuple[str, str]) -> str | None:
    """Returns the SVG of values in [0, 1] over pairs (down, across), means where pairs recur; lighter is higher (Fig. 11)."""
    down, across = (list(dict.fromkeys(pair[side] for pair in pairs)) for side in (0, 1))
    cells = np.full((len(down), len(across)), np.nan)
    for row, first in enumerate(down):
        for column, second in enumerate(across):
            found = [value for pair, value in zip(pairs, values, strict=True) if pair == (first, second) and value is not None]
            if found:
                cells[row, column] = np.mean(found)

    def plot(axes: Axes) -> None:
        axes.imshow(cells, cmap="cividis", vmin=0, vmax=1, aspect="auto")
        axes.grid(visible=False)
        axes.set_xticks(range(len(across)), [str(name) for name in across])
        axes.set_yticks(range(len(down)), [str(name) for name in down])
        axes.set(xlabel=names[0], ylabel=names[1])
        for (row, column), value in np.ndenumerate(cells):
            if not np.isnan(value):
                color = "#111111" if value > 0.6 else "#ffffff"
                axes.text(column, row, f"{value:.3f}", ha="center", va="center", color=color, fontsize=8)

    return as_svg(plot, 1.6 + 0.75 * len(across), 1.0 + 0.42 * len(down))


def curves(rows: Sequence[Mapping[str, Any]], path: str, lines: str | None, metric: str) -> str:
    """Returns the SVG of the mean of `metric` over the numbers of `path`, a line for each value of the field `lines`."""
    groups = list(dict.fromkeys(row[lines] for row in rows)) if lines else [None]

    def plot(axes: Axes) -> None:
        for group, color in zip(groups, _COLORS * len(groups), strict=False):
            found: dict[float, list[float]] = {}
            for row in rows:
                if (lines is None or row[lines] == group) and row[metric] is not None:
                    found.setdefault(float(row[path]), []).append(row[metric])
            at = sorted(found)
            if at:
                axes.plot(at, [np.mean(found[one]) for one in at], color=color, marker="o", markersize=3, label=group)
                axes.fill_between(at, *([pick(found[one]) for one in at] for pick in (min, max)), color=color, alpha=0.15)
        axes.set(xlabel=path, ylim=(-0.02, 1.02))
        if lines:
            axes.legend(title=lines)

    return as_svg(plot, 6.5, 2.8)


def _is_number(value: Any) -> bool:
    convert: Callable[[Any], float] = float
    try:
        return bool(np.isfinite(convert(value)))
    except (TypeError, ValueError):
        return False
