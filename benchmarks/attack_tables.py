"""The README's tables and figure of the attacks, from `results/attack_<recipe>_<attack>_seed0.json`."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from ray_defense.attacks import ATTACKS

RESULTS = Path(__file__).resolve().parent.parent / "results"
FIGURE = RESULTS / "attacks_auroc.svg"
RECIPE = "cifar10_badnets_small"
SIGNS = {  # sign -> whether the epoch with the largest (1) or the smallest (-1) would be picked by it
    "trusted_balance": 1,
    "zero_share": -1,
    "tie_share": -1,
    "effective_rank": 1,
    "poisoned_concentration": 1,
    "separation": 1,
    "class_similarity": -1,
    "train_accuracy": 1,
}


def load() -> dict[str, dict[str, Any]]:
    """Returns the results by attack, in the registry's order."""
    paths = {name: RESULTS / f"attack_{RECIPE}_{name}_seed0.json" for name in ATTACKS}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def bites() -> tuple[list[str], list[list[str]]]:
    """Returns ACC and ASR of each attack beside the clean model's ACC."""
    rows = []
    for name, found in load().items():
        model, clean = found["backdoored"], found["clean"]
        low, high = model["asr_interval"]
        asr = f"{100 * model['asr']:.1f} ({100 * low:.1f}–{100 * high:.1f})" + (", **weak**" if found["weak_attack"] else "")
        change = f"{100 * (model['acc'] - clean['acc']):+.1f}"
        rows.append([f"`{name}`", "yes" if ATTACKS[name].in_paper else "", asr, f"{100 * model['acc']:.1f}", change])
    return ["attack", "in the paper", "ASR % (95 % interval)", "ACC %", "ACC against the clean model's"], rows


def tries() -> tuple[list[str], list[list[str]]]:
    """Returns what was tried where an attack does not bite: one row a stored result with a tag."""
    rows = []
    for path in sorted(RESULTS.glob(f"attack_{RECIPE}_*-*_seed0.json")):
        found = json.loads(path.read_text())
        name = path.stem.removeprefix(f"attack_{RECIPE}_").split("-", 1)[0]
        rates = [f"{100 * found['backdoored'][rate]:.1f}" for rate in ("asr", "acc")]
        changed = found["changed"].split(", ")
        shown = [f"`{one}`" for one in changed if not one.endswith(("cpus_per_worker=1", "evaluate.cpus=1"))]
        rows.append([f"`{name}`", ", ".join(shown), *rates])
    return ["attack", "changed", "ASR %", "ACC %"], rows


def auroc() -> tuple[list[str], list[list[str]]]:
    """Returns AUROC after cross-entropy and along L_intra, and the precision of the poisoned split."""
    rows = []
    for name, found in load().items():
        values = [epoch["auroc"] for epoch in found["trace"]]
        best = int(np.argmax(values))
        shown = [f"{values[number]:.3f}" for number in (0, 1, 5, len(values) - 1)]
        precision = [f"{found['trace'][number]['poisoned_precision']:.3f}" for number in (0, -1)]
        rows.append([f"`{name}`", *shown, f"{values[best]:.3f} ({best})", " / ".join(precision)])
    head = ["attack", "CE", "1 epoch of L_intra", "5", "10", "best (epoch; needs the truth)", "poisoned precision, CE / 10"]
    return head, rows


def signs() -> tuple[list[str], list[list[str]]]:
    """Returns how each sign goes with AUROC, and the AUROC of the epochs it would have picked."""
    found = load()
    paper = [name for name in found if ATTACKS[name].in_paper]
    groups = [paper, [name for name in found if name not in paper]]

    def picked(choose: Any) -> list[str]:
        means = [[found[name]["trace"][choose(found[name]["trace"])]["auroc"] for name in group] for group in groups]
        return [f"{np.mean(values):.3f}" if values else "n/a" for values in means]

    rows = [
        ["no L_intra", "", "", *picked(lambda trace: 0)],
        ["10 epochs, the paper's", "", "", *picked(lambda trace: len(trace) - 1)],
    ]
    for sign, way in SIGNS.items():
        points = [(epoch[sign], epoch["auroc"]) for trace in found.values() for epoch in trace["trace"]]
        within = []
        for trace in found.values():
            pairs = np.array([(epoch[sign], epoch["auroc"]) for epoch in trace["trace"]], float)
            if len(np.unique(pairs[:, 0])) > 1:
                within.append(spearmanr(*pairs.T).statistic)
        over_all = spearmanr(*zip(*points, strict=True)).statistic
        title = f"{'largest' if way > 0 else 'smallest'} `{sign}`"
        choice = picked(lambda trace, sign=sign, way=way: int(np.argmax([way * epoch[sign] for epoch in trace])))
        rows.append([title, f"{over_all:+.2f}", f"{np.mean(within):+.2f} ({min(within):+.2f} to {max(within):+.2f})", *choice])
    rows.append(["best epoch (needs the truth)", "", "", *picked(lambda trace: int(np.argmax([e["auroc"] for e in trace])))])
    head = ["epoch picked by", "Spearman with AUROC, all points", "within an attack, mean (range)", "AUROC, paper's attacks"]
    return [*head, "AUROC, the others"], rows


def figure() -> bytes:
    """Returns the SVG of AUROC over the epochs of L_intra, one line an attack; the same bytes for the same results."""
    found = load()
    canvas = FigureCanvasSVG(Figure(figsize=(9, 4.2), layout="constrained"))
    both = canvas.figure.subplots(1, 2, sharey=True)
    for axes, title, wanted in zip(
        both, ("the paper's attacks", "attacks that the paper does not have"), (True, False), strict=True
    ):
        _lines(axes, {name: one for name, one in found.items() if ATTACKS[name].in_paper is wanted})
        axes.set(title=title, xlabel="epochs of L_intra (0: after cross-entropy)", ylim=(0.3, 1.02))
        axes.axhline(0.5, color="#9aa3ad", linestyle=":", linewidth=1)
    both[0].set_ylabel("AUROC of FCT")
    out = io.StringIO()
    canvas.print_svg(out, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return out.getvalue().encode()


def _lines(axes: Axes, found: dict[str, dict[str, Any]]) -> None:
    for number, (name, one) in enumerate(found.items()):
        values = [epoch["auroc"] for epoch in one["trace"]]
        weak = one["weak_attack"]
        axes.plot(
            values, label=name + (" (weak)" if weak else ""), color=f"C{number}", linestyle="--" if weak else "-", marker="."
        )
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
