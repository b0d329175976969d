"""Writes the tables of README and `deploy/scaling.md` (between `<!-- table:NAME -->` and `<!-- end -->`) and the README's
figure from `results/*.json`.

python benchmarks/tables.py [--check]
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attack_tables
import scaling_plan
from matplotlib import rc_context

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"(<!-- table:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _load(pattern: str) -> list[dict[str, Any]]:
    paths = sorted((ROOT / "results").glob(pattern))
    if not paths:
        raise SystemExit(f"no results/{pattern}: run the benchmark that records it")
    return [json.loads(path.read_text()) for path in paths]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _percent(rate: float | None, interval: list[float] | None = None) -> str:
    if rate is None:
        return "n/a"
    return f"{100 * rate:.1f}" + (f" ({100 * interval[0]:.1f}–{100 * interval[1]:.1f})" if interval else "")


def runs(name: str) -> str:
    """One row a seed: ACC / ASR in % of every model, AUROC and precisions, wall time."""
    rows = []
    for run in _load(f"run_{name}_seed*.json"):
        result = run["result"]
        models = [result[model] for model in ("backdoored", "d_br", "d_st")]
        cells = [f"{_percent(model['acc'])} / {_percent(model['asr'])}" if model else "n/a" for model in models]
        score = result["score"]
        precision = f"{score['trusted_precision']:.3f} / {score['poisoned_precision']:.3f}"
        counts = score["trusted_class_counts"]
        balance = f"{min(counts)}–{max(counts)}"
        rows.append([str(result["seed"]), f"{score['auroc']:.4f}", precision, balance, *cells, f"{run['wall_s']:.0f}"])
    models = ["backdoored ACC / ASR", "D-BR", "D-ST"]
    return _table(["seed", "AUROC", "precision trusted / poisoned", "trusted a class", *models, "seconds"], rows)


def demo() -> str:
    """The demo's table as it prints it, seed 0, with 95 % Clopper-Pearson intervals."""
    (run,) = _load("run_digits_badnets_seed0.json")
    rows = []
    for name, title in (("backdoored", "backdoored model"), ("d_br", "D-BR"), ("d_st", "D-ST")):
        model = run["result"][name]
        rows.append([title, _percent(model["acc"], model["acc_interval"]), _percent(model["asr"], model["asr_interval"])])
    return _table(["model", "ACC % (95 % interval)", "ASR % (95 % interval)"], rows)


def scoring() -> str:
    """Throughput of the score stage over its bare forward passes."""
    rows = [
        [
            run["model"],
            f"{run['stage_images_per_s']:,.0f}",
            f"{run['bare_images_per_s']:,.0f}",
            f"{run['ratio_median']:.2f} ({run['ratio_min']:.2f}–{run['ratio_max']:.2f})",
            f"{run['startup_s']:.0f}",
        ]
        for run in _load("scoring_*.json")
    ]
    head = ["model", "stage, images/s", "bare forward passes, images/s", "ratio, median (range)", "start of the actors, s"]
    return _table(head, rows)


def ray_cost() -> str:
    """The demo's seconds with Ray and without, a row for each pair of runs, and their ratios."""
    (run,), rows = _load("ray_cost_digits_badnets.json"), []
    for number, pair in enumerate(run["pairs"]):
        local, on_ray = pair["local"], pair["ray"]
        names = ("wall_s", "ray_start_s", "startup_s", "rest_s")
        cells = [f"{local['rest_s']:.1f}", *(f"{on_ray[name]:.1f}" for name in names)]
        rows.append([str(number + 1), *cells, f"{run['rest_ratios'][number]:.3f}", f"{run['wall_ratios'][number]:.2f}"])
    rows.append(["median", *[""] * 5, f"**{run['rest_ratio_median']:.3f}**", f"{run['wall_ratio_median']:.2f}"])
    head = ["pair", "local: rest, s", "Ray: wall, s", "start of Ray", "start of its processes", "rest"]
    return _table([*head, "ratio of the rests", "of the walls"], rows)


def sweeps() -> str:
    """Wall time of the 36-pair sweep over the probe and the 37 passes it needs."""
    rows = [
        [
            f"`{run['recipe']}`",
            str(run["trials"]),
            f"{run['probe_and_passes_s']:.0f}",
            f"{run['sweep_s']:.0f}",
            f"{run['ratio']:.2f}",
        ]
        for run in _load("sweep_*.json")
    ]
    return _table(["recipe", "trials", "probe and 37 passes alone, s", "sweep, s", "ratio"], rows)


def pairs(recipe: str) -> str:
    """AUROC / poison-precision of each pair of transforms (the paper's Fig. 11 shows precisions on CIFAR-10)."""
    (run,) = _load(f"sweep_{recipe}.json")
    found = {tuple(row["score.tau"].split(",")): row for row in run["rows"]}
    names = list(dict.fromkeys(first for first, _ in found))

    def cell(row: dict[str, Any]) -> str:
        return "not assessable" if row["auroc"] is None else f"{row['auroc']:.3f} / {row['poisoned_precision']:.3f}"

    rows = [[first, *(cell(found[first, second]) for second in names)] for first in names]
    return _table(["first, then", *names], rows)


def faults() -> str:
    """What a SIGKILL of each kind at each stage cost: the whole run's seconds when left alone, and how much more when not."""
    (run,) = _load("fault_matrix.json")
    found = {(cell["killed"], cell["stage"]): cell for cell in run["cells"]}
    stages = list(dict.fromkeys(cell["stage"] for cell in run["cells"]))

    def cell(killed: str, stage: str) -> str:
        one = found[killed, stage]
        if killed == "none":
            return f"{one['seconds']:.0f} s"
        return f"recovered, {one['seconds_lost']:+.0f} s" if one["recovered"] else "**lost**"

    names = {"none": "nobody", "worker": "the process at work", "node": "its node (raylet)", "driver": "the driver"}
    return _table(["killed", *stages], [[title, *(cell(killed, stage) for stage in stages)] for killed, title in names.items()])


def identical() -> str:
    """The ways of scoring, by the bytes of scores and split that they gave."""
    (run,) = _load("identical_scores.json")
    ways: dict[str, list[str]] = {}
    for way, hashes in run["sha256"].items():
        ways.setdefault(f"`{hashes['score'][:12]}` / `{hashes['split'][:12]}`", []).append(way)
    return _table(["SHA-256 of scores / split", "ways"], [[digest, "; ".join(names)] for digest, names in ways.items()])


TABLES: dict[str, Callable[[], str]] = {
    "demo": demo,
    "digits": lambda: runs("digits_badnets"),
    "cifar10_small": lambda: runs("cifar10_badnets_small"),
    "scoring": scoring,
    "ray_cost": ray_cost,
    "sweeps": sweeps,
    "pairs": lambda: pairs("digits_badnets"),
    "pairs_cifar10": lambda: pairs("cifar10_badnets_small"),
    "faults": faults,
    "identical": identical,
    "attacks": lambda: _table(*attack_tables.bites()),
    "tries": lambda: _table(*attack_tables.tries()),
    "auroc": lambda: _table(*attack_tables.auroc()),
    "signs": lambda: _table(*attack_tables.signs()),
}


SCALING_TABLES = {name: lambda made=made: _table(*made()) for name, made in scaling_plan.TABLES.items()}
DOCUMENTS = {ROOT / "README.md": TABLES, ROOT / "deploy" / "scaling.md": SCALING_TABLES}


def render(text: str, tables: dict[str, Callable[[], str]] = TABLES) -> str:
    """Returns `text` with every table made anew."""
    return _BLOCK.sub(lambda block: block[1] + tables[block[2]]() + block[3], text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a table is not what results/ says")
    arguments = parser.parse_args()
    old = {path: path.read_text() for path in DOCUMENTS}
    new = {path: render(text, DOCUMENTS[path]) for path, text in old.items()}
    with rc_context({"svg.hashsalt": "ray_defense", "font.size": 9}):
        drawn = attack_tables.figure()
    if arguments.check and (new != old or drawn != attack_tables.FIGURE.read_bytes()):
        sys.exit("a table or the README's figure is not what results/ says: run python benchmarks/tables.py")
    for path, text in new.items():
        path.write_text(text)
    attack_tables.FIGURE.write_bytes(drawn)
