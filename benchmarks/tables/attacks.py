"""Tables of the attacks on CIFAR-10: how strong each is, and where FCT finds it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.documents import Table, load_results, percent
from ray_defense.attacks import ATTACKS

RECIPE = "cifar10_badnets_small"
# Label-free metric -> whether it would pick the epoch where it is largest (1) or smallest (-1).
PICKING_SIGNS = {
    "trusted_balance": 1,
    "zero_share": -1,
    "tie_share": -1,
    "effective_rank": 1,
    "flagged_concentration": 1,
    "separation": 1,
    "class_similarity": -1,
    "train_accuracy": 1,
}

_ONE_THREAD = ("cpus_per_worker=1", "evaluation.cpus=1")  # how settings end that change no result

Trace = list[dict[str, Any]]  # what is known of each epoch of L_intra, from 0
PickEpoch = Callable[[Trace], int]


def attack_results() -> dict[str, dict[str, Any]]:
    """Returns the results with the recipe's own settings by attack, in the registry's order."""
    stored = load_results(f"attacks/{RECIPE}_*_seed0.json")
    results = {}
    for name in ATTACKS:
        key = f"{RECIPE}_{name}_seed0"
        if key in stored:
            results[name] = stored[key]
    return results


def strength_table() -> Table:
    """Returns ACC and ASR of each attack beside the clean model's ACC."""
    head = [
        "attack",
        "in the paper",
        "ASR % (95 % interval)",
        "ACC %",
        "ACC against the clean model's",
    ]
    rows = []
    for name, result in attack_results().items():
        model = result["backdoored"]
        asr = percent(model["asr"], model["asr_interval"])
        if result["weak_attack"]:
            asr += ", **weak**"
        acc_change = model["acc"] - result["clean"]["acc"]
        cells = [
            f"`{name}`",
            "yes" if ATTACKS[name].in_paper else "",
            asr,
            percent(model["acc"]),
            f"{100 * acc_change:+.1f}",
        ]
        rows.append(cells)
    return Table(head, rows)


def tries_table() -> Table:
    """Returns what was tried where an attack is weak: one row a stored result with a tag."""
    rows = []
    for result in load_results(f"attacks/{RECIPE}_*-*_seed0.json").values():
        changed = []
        for assignment in result["changed"].split(", "):
            if not assignment.endswith(_ONE_THREAD):
                changed.append(f"`{assignment}`")
        model = result["backdoored"]
        cells = [f"`{result['attack']}`", ", ".join(changed)]
        rows.append([*cells, percent(model["asr"]), percent(model["acc"])])
    return Table(["attack", "changed", "ASR %", "ACC %"], rows)


def auroc_table() -> Table:
    """Returns AUROC after cross-entropy and along L_intra, and precisions of the flagged."""
    head = [
        "attack",
        "CE",
        "1 epoch of L_intra",
        "5",
        "10",
        "best (epoch; needs the truth)",
        "flagged precision, CE / 10",
    ]
    rows = []
    for name, result in attack_results().items():
        trace = result["trace"]
        best = best_epoch(trace)
        last = len(trace) - 1
        cells = [f"`{name}`"]
        for epoch in (0, 1, 5, last):
            cells.append(f"{trace[epoch]['auroc']:.3f}")
        cells.append(f"{trace[best]['auroc']:.3f} ({best})")
        first_precision = trace[0]["flagged_precision"]
        last_precision = trace[last]["flagged_precision"]
        cells.append(f"{first_precision:.3f} / {last_precision:.3f}")
        rows.append(cells)
    return Table(head, rows)


def label_free_table() -> Table:
    """Returns how each label-free metric goes with AUROC, and the AUROC it would have picked."""
    head = [
        "epoch picked by",
        "Spearman with AUROC, all points",
        "within an attack, mean (range)",
        "AUROC, paper's attacks",
        "AUROC, the others",
    ]
    traces = {name: result["trace"] for name, result in attack_results().items()}
    rows = [
        ["no L_intra", "", "", *_picked_auroc(traces, lambda trace: 0)],
        ["10 epochs, the paper's", "", "", *_picked_auroc(traces, lambda trace: len(trace) - 1)],
    ]
    for metric, sign in PICKING_SIGNS.items():
        rows.append(_metric_row(traces, metric, sign))
    rows.append(["best epoch (needs the truth)", "", "", *_picked_auroc(traces, best_epoch)])
    return Table(head, rows)


def _metric_row(traces: dict[str, Trace], metric: str, sign: int) -> list[str]:
    values = []
    aurocs = []
    within = []
    for trace in traces.values():
        of_attack = [epoch[metric] for epoch in trace]
        auroc_of_attack = [epoch["auroc"] for epoch in trace]
        values.extend(of_attack)
        aurocs.extend(auroc_of_attack)
        if len(set(of_attack)) > 1:
            within.append(_spearman(of_attack, auroc_of_attack))

    def pick_epoch(trace: Trace) -> int:
        return int(np.argmax([sign * epoch[metric] for epoch in trace]))

    superlative = "largest" if sign > 0 else "smallest"
    mean_within = f"{np.mean(within):+.2f} ({min(within):+.2f} to {max(within):+.2f})"
    cells = [f"{superlative} `{metric}`", f"{_spearman(values, aurocs):+.2f}", mean_within]
    return [*cells, *_picked_auroc(traces, pick_epoch)]


def _spearman(first: Sequence[float], second: Sequence[float]) -> float:
    correlation: float = spearmanr(first, second).statistic
    return correlation


def best_epoch(trace: Trace) -> int:
    """Returns the epoch of the largest AUROC."""
    return int(np.argmax([epoch["auroc"] for epoch in trace]))


def _picked_auroc(traces: dict[str, Trace], pick_epoch: PickEpoch) -> list[str]:
    """Returns the mean AUROC of the picked epochs over the paper's attacks, and the others."""
    of_paper = []
    of_others = []
    for name, trace in traces.items():
        auroc = trace[pick_epoch(trace)]["auroc"]
        if ATTACKS[name].in_paper:
            of_paper.append(auroc)
        else:
            of_others.append(auroc)
    cells = []
    for aurocs in (of_paper, of_others):
        cells.append(f"{np.mean(aurocs):.3f}" if aurocs else "n/a")
    return cells
