"""The figure of the detectors: true over false positive rates, one panel an attack, as SVG."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.detection.measure import CURVE_FPRS, FPR
from benchmarks.documents import load_results
from benchmarks.tables.svg import draw_svg
from ray_defense.attacks import ATTACKS

# Rounds whose cells are shown, a later one in place of an earlier one's column.
_ROUNDS = (
    "development",
    "confirmation",
    "round3_development",
    "round3_confirmation",
    "round5_development",
    "round5_confirmation",
    "round6_development",
    "round6_confirmation",
)
_RATE = 0.1
_COLORS = {
    "fct_draws": "C7",
    "mirror": "C0",
    "grow": "C2",
    "fixed_pattern_rarity": "C1",
    "handed_pattern": "C3",
}
_COLUMNS = 4  # panels side by side


def detection_figure() -> bytes:
    """Returns the SVG; equal results give equal bytes."""
    return draw_svg((11, 8), _draw)


def curves_of_attacks() -> dict[str, dict[str, list[float]]]:
    """Returns the curve of each column by attack, at 10 % and the first seed that was measured."""
    curves: dict[str, dict[str, list[float]]] = {}
    for round_name in _ROUNDS:
        seeds: dict[str, int] = {}
        for cell in load_results(f"detection/{round_name}/*.json").values():
            attack = cell["attack"]
            if cell["rate"] != _RATE or cell["seed"] > seeds.get(attack, cell["seed"]):
                continue
            seeds[attack] = cell["seed"]
            curves.setdefault(attack, {}).update(_curves(cell["columns"]))
    return curves


def _curves(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, list[float]]:
    curves = {}
    for name in _COLORS:
        if "curve" in columns.get(name, {}):
            curves[name] = columns[name]["curve"]
    return curves


def _draw(figure: Figure) -> None:
    curves = curves_of_attacks()
    num_rows = -(-len(ATTACKS) // _COLUMNS)
    panels = figure.subplots(num_rows, _COLUMNS, sharex=True, sharey=True).ravel()
    for axes, attack in zip(panels, sorted(ATTACKS), strict=False):
        _draw_panel(axes, attack, curves.get(attack, {}))
    for axes in panels[len(ATTACKS) :]:
        axes.set_axis_off()
    figure.supxlabel("false positive rate")
    figure.supylabel("true positive rate")
    handles, labels = max((axes.get_legend_handles_labels() for axes in panels), key=_num_lines)
    figure.legend(handles, labels, loc="outside upper center", ncols=len(_COLORS), frameon=False)


def _num_lines(handles_and_labels: tuple[list[Any], list[Any]]) -> int:
    return len(handles_and_labels[1])


def _draw_panel(axes: Axes, attack: str, curves: Mapping[str, list[float]]) -> None:
    for name, curve in curves.items():
        axes.plot(CURVE_FPRS, curve, label=name, color=_COLORS[name], linewidth=1.3)
    axes.plot(CURVE_FPRS, CURVE_FPRS, color="#9aa3ad", linestyle=":", linewidth=1)
    axes.axvline(FPR, color="#9aa3ad", linewidth=0.6)
    axes.set(title=attack, xscale="log", ylim=(-0.02, 1.03))
    axes.spines[["top", "right"]].set_visible(False)
