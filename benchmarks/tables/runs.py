"""Tables of whole runs and of sweeps: what they find."""

from typing import Any

from benchmarks.documents import Table, load_result, load_results, percent

_MODELS = ("backdoored", "d_br", "d_st")


def demo_table() -> Table:
    """Returns the table that the demo prints, seed 0, with 95 % Clopper-Pearson intervals."""
    run = load_result("recipes/digits_badnets_seed0.json")
    rows = []
    for name in _MODELS:
        model = run["result"]["models"][name]
        acc = percent(model["acc"], model["acc_interval"])
        asr = percent(model["asr"], model["asr_interval"])
        rows.append([model["title"], acc, asr])
    return Table(["model", "ACC % (95 % interval)", "ASR % (95 % interval)"], rows)


def runs_table(recipe: str) -> Table:
    """Returns one row a seed: AUROC, precisions, ACC / ASR of every model, wall time."""
    head = [
        "seed",
        "AUROC",
        "precision trusted / flagged",
        "trusted a class",
        "backdoored ACC / ASR",
        "D-BR",
        "D-ST",
        "seconds",
    ]
    rows = []
    for run in load_results(f"recipes/{recipe}_seed*.json").values():
        rows.append(_run_row(run))
    return Table(head, rows)


def _run_row(run: dict[str, Any]) -> list[str]:
    result = run["result"]
    score = result["score"]
    class_counts = score["trusted_class_counts"]
    cells = [
        str(result["seed"]),
        f"{score['auroc']:.4f}",
        f"{score['trusted_precision']:.3f} / {score['flagged_precision']:.3f}",
        f"{min(class_counts)}–{max(class_counts)}",
    ]
    for name in _MODELS:
        model = result["models"].get(name)
        if model is None:
            cells.append("n/a")
        else:
            cells.append(f"{percent(model['acc'])} / {percent(model['asr'])}")
    cells.append(f"{run['wall_s']:.0f}")
    return cells


def pairs_table(recipe: str) -> Table:
    """Returns AUROC / precision of the flagged samples for each pair of transforms.

    The paper's Fig. 11 shows the precisions on CIFAR-10.
    """
    rows_of_pairs = {}
    for row in load_result(f"sweeping/{recipe}.json")["rows"]:
        first, second = row["detect.fct.tau"].split(",")
        rows_of_pairs[first, second] = row
    names = list(dict.fromkeys(first for first, _ in rows_of_pairs))
    rows = []
    for first in names:
        cells = [first]
        for second in names:
            cells.append(_pair_cell(rows_of_pairs[first, second]))
        rows.append(cells)
    return Table(["first, then", *names], rows)


def _pair_cell(row: dict[str, Any]) -> str:
    if row["auroc"] is None:
        return "not assessable"
    return f"{row['auroc']:.3f} / {row['flagged_precision']:.3f}"


def sweep_cost_table() -> Table:
    """Returns the wall time of the sweep over 36 pairs, and of the probe and passes it needs."""
    head = ["recipe", "trials", "probe and 37 passes alone, s", "sweep, s", "ratio"]
    rows = []
    for run in load_results("sweeping/*.json").values():
        cells = [
            f"`{run['recipe']}`",
            str(run["num_trials"]),
            f"{run['probe_and_passes_s']:.0f}",
            f"{run['sweep_s']:.0f}",
            f"{run['ratio']:.2f}",
        ]
        rows.append(cells)
    return Table(head, rows)
