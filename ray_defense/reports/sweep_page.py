"""The offline page of a sweep: heat maps over two axes (the paper's Fig. 11), curves, the table."""

import json
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import escape

from ray_defense.reports.figures import CLEAN_COLOR, NEUTRAL_COLOR, POISONED_COLOR, as_svg
from ray_defense.reports.metrics import LABEL_FREE, METRICS, rate_metrics
from ray_defense.reports.page_template import load_template

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TAU = ".tau"  # fields of this name hold pairs of transforms: two axes of a heat map in one
_COLORS = (CLEAN_COLOR, POISONED_COLOR, NEUTRAL_COLOR, "#7a9e3b", "#8a5aa8", "#c2912e")

Rows = Sequence[Mapping[str, Any]]


def render_sweep_page(
    recipe: Mapping[str, Any], rows: Rows, model_titles: Mapping[str, str]
) -> str:
    """Returns the HTML page of a sweep; the same rows give the same text.

    Args:
        recipe: The recipe that is varied, as plain data.
        rows: The row of each trial: its number, its changes by path and its metrics (see
            `sweeps.rows`).
        model_titles: How the page calls each model, by its name.
    """
    axes = [column for column in rows[0] if _is_axis(column, recipe)]
    charted = {}
    for name, title in _result_titles(model_titles).items():
        if _has_values(rows, name):
            charted[name] = title
    metrics = dict(charted)
    for metric in LABEL_FREE.values():
        if _has_values(rows, metric.name):
            metrics[metric.name] = metric.title
    figures = []
    for name, title in charted.items():
        figure = draw_metric(rows, axes, name)
        if figure is not None:
            figures.append((title, figure))
    return load_template("sweep.html.j2").render(
        recipe=recipe["name"],
        axes=axes,
        metrics=metrics,
        rows=rows,
        figures=figures,
        config=escape(json.dumps(recipe, indent=2)),
    )


def _is_axis(column: str, recipe: Mapping[str, Any]) -> bool:
    """Returns whether a column is one of the axes: a dotted path, or a field of the recipe."""
    return "." in column or column in recipe


def _result_titles(model_titles: Mapping[str, str]) -> dict[str, str]:
    """Returns the titles of the metrics that need the truth or the test set, by column."""
    titles = {}
    for metric in METRICS.values():
        if not metric.label_free:
            titles[metric.name] = metric.title
    for model, title in model_titles.items():
        for metric in rate_metrics(model, title):
            titles[metric.name] = metric.title
    return titles


def _has_values(rows: Rows, column: str) -> bool:
    return any(row.get(column) is not None for row in rows)


def draw_metric(rows: Rows, axes: Sequence[str], metric: str) -> str | None:
    """Returns the SVG of one metric over the axes, averaged over what is not drawn.

    Pairs of transforms make a heat map, with the first transform down and the second across, and so
    do two axes of numbers. One axis of numbers makes a curve: a line for each value of the first
    other axis but the seed, with the range over the rest as a band.

    Args:
        rows: The row of each trial.
        axes: The columns that hold the values of the axes.
        metric: The column to draw, which holds values in [0, 1] or None.

    Returns:
        The SVG text, or None where no axis can be drawn.
    """
    values = [row.get(metric) for row in rows]
    numeric = []
    for path in axes:
        if _holds_pairs(rows, path):
            transforms = [tuple(row[path].split(",")) for row in rows]
            return draw_heat_map(transforms, values, ("second transform", "first transform"))
        if path != "seed" and _holds_numbers(rows, path):
            numeric.append(path)
    if len(numeric) == 2:
        down = numeric[0]
        across = numeric[1]
        numbers = [(float(row[down]), float(row[across])) for row in rows]
        return draw_heat_map(numbers, values, (across, down))
    if len(numeric) == 1:
        others = [path for path in axes if path not in ("seed", numeric[0])]
        line_axis = others[0] if others else None
        return draw_curves(rows, numeric[0], line_axis, metric=metric)
    return None


def draw_heat_map(
    pairs: Sequence[tuple[Any, ...]], values: Sequence[float | None], titles: tuple[str, str]
) -> str:
    """Returns the SVG heat map of values over pairs; lighter is higher (Fig. 11).

    Args:
        pairs: The place of each value: down, then across.
        values: Values in [0, 1] or None; where pairs recur, their mean is shown.
        titles: The titles of the axes: across, then down.
    """
    row_of: dict[Any, int] = {}
    column_of: dict[Any, int] = {}
    values_at: dict[tuple[int, int], list[float]] = {}
    for (first, second), value in zip(pairs, values, strict=True):
        row = row_of.setdefault(first, len(row_of))
        column = column_of.setdefault(second, len(column_of))
        if value is not None:
            values_at.setdefault((row, column), []).append(value)
    cells = np.full((len(row_of), len(column_of)), np.nan)
    for cell, recurring in values_at.items():
        cells[cell] = np.mean(recurring)

    def draw(axes: "Axes") -> None:
        axes.imshow(cells, cmap="cividis", vmin=0, vmax=1, aspect="auto")
        axes.grid(visible=False)
        axes.set_xticks(range(len(column_of)), list(map(str, column_of)))
        axes.set_yticks(range(len(row_of)), list(map(str, row_of)))
        axes.set(xlabel=titles[0], ylabel=titles[1])
        for (row, column), value in np.ndenumerate(cells):
            if np.isnan(value):
                continue
            color = "#111111" if value > 0.6 else "#ffffff"
            axes.text(
                column, row, f"{value:.3f}", ha="center", va="center", color=color, fontsize=8
            )

    return as_svg(draw, 1.6 + 0.75 * len(column_of), 1.0 + 0.42 * len(row_of))


def draw_curves(rows: Rows, path: str, line_axis: str | None, *, metric: str) -> str:
    """Returns the SVG of the mean of a metric over numbers, with its range as a band.

    Args:
        rows: The row of each trial.
        path: The axis of numbers.
        line_axis: The axis each of whose values has a line of its own; None: there is one line.
        metric: The column to draw.
    """
    lines: dict[str | None, list[Mapping[str, Any]]] = {}
    for row in rows:
        label = None if line_axis is None else row[line_axis]
        lines.setdefault(label, []).append(row)

    def draw(axes: "Axes") -> None:
        for (label, of_line), color in zip(lines.items(), cycle(_COLORS), strict=False):
            _draw_line(axes, of_line, path, metric=metric, color=color, label=label)
        axes.set(xlabel=path, ylim=(-0.02, 1.02))
        if line_axis is not None:
            axes.legend(title=line_axis)

    return as_svg(draw, 6.5, 2.8)


def _draw_line(
    axes: "Axes", rows: Rows, path: str, *, metric: str, color: str, label: str | None
) -> None:
    values_at: dict[float, list[float]] = {}
    for row in rows:
        value = row.get(metric)
        if value is not None:
            values_at.setdefault(float(row[path]), []).append(value)
    if not values_at:
        return
    numbers = sorted(values_at)
    means = []
    lows = []
    highs = []
    for number in numbers:
        means.append(np.mean(values_at[number]))
        lows.append(min(values_at[number]))
        highs.append(max(values_at[number]))
    axes.plot(numbers, means, color=color, marker="o", markersize=3, label=label)
    axes.fill_between(numbers, lows, highs, color=color, alpha=0.15)


def _holds_pairs(rows: Rows, path: str) -> bool:
    """Returns whether an axis is of pairs of transforms, such as "rotate,affine"."""
    return path.endswith(_TAU) and all(len(row[path].split(",")) == 2 for row in rows)


def _holds_numbers(rows: Rows, path: str) -> bool:
    return all(_is_number(row[path]) for row in rows)


def _is_number(value: Any) -> bool:
    try:
        return bool(np.isfinite(float(value)))
    except (TypeError, ValueError):
        return False
