"""The figure of the attacks: AUROC over the epochs of L_intra, one line an attack, as SVG."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.tables.attacks import attack_results
from benchmarks.tables.svg import draw_svg
from ray_defense.attacks import ATTACKS


def attack_figure() -> bytes:
    """Returns the SVG; equal results give equal bytes."""
    return draw_svg((9, 4.2), _draw)


def _draw(figure: Figure) -> None:
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_attacks(left, "the paper's attacks", in_paper=True)
    _draw_attacks(right, "attacks that the paper does not have", in_paper=False)
    left.set_ylabel("AUROC of FCT")


def _draw_attacks(axes: Axes, title: str, *, in_paper: bool) -> None:
    chosen = {}
    for name, result in attack_results().items():
        if ATTACKS[name].in_paper is in_paper:
            chosen[name] = result
    for number, (name, result) in enumerate(chosen.items()):
        _draw_line(axes, name, result, color=f"C{number}")
    axes.set(title=title, xlabel="epochs of L_intra (0: after cross-entropy)", ylim=(0.3, 1.02))
    axes.axhline(0.5, color="#9aa3ad", linestyle=":", linewidth=1)
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_line(axes: Axes, name: str, result: dict[str, Any], *, color: str) -> None:
    aurocs = [epoch["auroc"] for epoch in result["trace"]]
    label = name
    linestyle = "-"
    if result["weak_attack"]:
        label = f"{name} (weak)"
        linestyle = "--"
    axes.plot(aurocs, label=label, color=color, linestyle=linestyle, marker=".")
