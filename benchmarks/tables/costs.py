"""Tables of what Ray costs and of what it survives."""

from typing import Any

from benchmarks.documents import Table, load_result, load_results

_KILLED_TITLES = {
    "none": "nothing",
    "worker": "the process at work",
    "node": "its node (raylet)",
    "driver": "the driver",
}


def scoring_table() -> Table:
    """Returns the throughput of the evidence stage over its bare forward passes."""
    head = [
        "model",
        "stage, images/s",
        "bare forward passes, images/s",
        "ratio, median (range)",
        "start of the actors, s",
    ]
    rows = []
    for run in load_results("scoring/*.json").values():
        cells = [
            run["model"],
            f"{run['stage_images_per_s']:,.0f}",
            f"{run['bare_images_per_s']:,.0f}",
            f"{run['ratio_median']:.2f} ({run['ratio_min']:.2f}–{run['ratio_max']:.2f})",
            f"{run['startup_s']:.0f}",
        ]
        rows.append(cells)
    return Table(head, rows)


def reading_table() -> Table:
    """Returns the speed of FFCV's reader over NumPy's, and what each takes to start, by size."""
    head = [
        "pixels of a side",
        "FFCV, images/s",
        "NumPy, images/s",
        "ratio, median (range)",
        "until the first batch, s: FFCV",
        "NumPy",
    ]
    rows = []
    runs = load_results("reading/*.json").values()
    for run in sorted(runs, key=lambda run: run["side"]):
        cells = [
            str(run["side"]),
            f"{run['ffcv_images_per_s']:,.0f}",
            f"{run['numpy_images_per_s']:,.0f}",
            f"{run['ratio_median']:.2f} ({run['ratio_min']:.2f}–{run['ratio_max']:.2f})",
            f"{run['ffcv_start_s']:.1f}",
            f"{run['numpy_start_s']:.1f}",
        ]
        rows.append(cells)
    return Table(head, rows)


def ray_cost_table() -> Table:
    """Returns the seconds of the demo with Ray and without, a row a pair, and their ratios."""
    head = [
        "pair",
        "local: rest, s",
        "Ray: wall, s",
        "start of Ray",
        "start of its processes",
        "rest",
        "ratio of the rests",
        "ratio of the wall times",
    ]
    run = load_result("ray_cost/digits_badnets.json")
    rows = []
    for number, pair in enumerate(run["pairs"]):
        cells = [str(number + 1), f"{pair['local']['rest_s']:.1f}"]
        for name in ("wall_s", "ray_start_s", "startup_s", "rest_s"):
            cells.append(f"{pair['ray'][name]:.1f}")
        cells.append(f"{run['rest_ratios'][number]:.3f}")
        cells.append(f"{run['wall_ratios'][number]:.2f}")
        rows.append(cells)
    rest_median = f"**{run['rest_ratio_median']:.3f}**"
    rows.append(["median", "", "", "", "", "", rest_median, f"{run['wall_ratio_median']:.2f}"])
    return Table(head, rows)


def faults_table() -> Table:
    """Returns what a SIGKILL of each kind at each stage cost, and whether the run recovered.

    The first row has the seconds of the whole run left alone, the others what was lost.
    """
    cells_of_faults = {}
    for cell in load_result("faults/matrix.json")["cells"]:
        cells_of_faults[cell["killed"], cell["stage"]] = cell
    stages = list(dict.fromkeys(stage for _, stage in cells_of_faults))
    rows = []
    for killed, title in _KILLED_TITLES.items():
        cells = [title]
        for stage in stages:
            cells.append(_fault_cell(cells_of_faults[killed, stage]))
        rows.append(cells)
    return Table(["killed", *stages], rows)


def _fault_cell(cell: dict[str, Any]) -> str:
    if cell["killed"] == "none":
        return f"{cell['seconds']:.0f} s"
    if not cell["recovered"]:
        return "**lost**"
    return f"recovered, {cell['seconds_lost']:+.0f} s"


def identical_scores_table() -> Table:
    """Returns the setups of scoring by the bytes of evidence and split that they gave."""
    setups: dict[str, list[str]] = {}
    for setup, hashes in load_result("identical_scores/digits_badnets.json")["sha256"].items():
        digests = f"`{hashes['evidence'][:12]}` / `{hashes['split'][:12]}`"
        setups.setdefault(digests, []).append(setup)
    rows = []
    for digests, names in setups.items():
        rows.append([digests, "; ".join(names)])
    return Table(["SHA-256 of evidence / split", "setups"], rows)
