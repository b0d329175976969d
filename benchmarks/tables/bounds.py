"""The table of what stages reach of their bare loops, on CPUs and on a GPU."""

from collections.abc import Mapping
from typing import Any

from benchmarks.documents import Table
from benchmarks.support import RESULTS
from ray_defense.core.files import read_json

GPU_TITLE = "H200, ResNet-18"
_TITLES = {
    "probe_ce": "probe, cross-entropy",
    "probe_intra": "probe, L_intra",
    "backdoored": "backdoored model",
    "d_br": "D-BR",
    "ss_ctl": "D-ST, SS-CTL",
    "mce": "D-ST, MCE",
    "mirror": "a network of the mirror filter",
    "grow": "a network of growing",
    "score_1": "scoring, K = 1",
    "score_32": "scoring, K = 32",
}
_SETTINGS = {"small_resnet_cpu": "CPU, small ResNet", "resnet18_cpu": "CPU, ResNet-18"}


def bounds_table() -> Table:
    """Returns images/s of each stage over those of its bare loop, a column a setting."""
    columns: dict[str, Mapping[str, Any]] = {}
    for folder, title in _SETTINGS.items():
        cells = {}
        for path in sorted((RESULTS / "bounds" / folder).glob("*.json")):
            cells[path.stem] = read_json(path)
        if cells:
            columns[title] = cells
    of_gpu = RESULTS / "gpu" / "bounds.json"
    if of_gpu.is_file():
        columns[GPU_TITLE] = read_json(of_gpu)["cells"]
    if not columns:
        raise SystemExit("no results/bounds: run python -m benchmarks.bounds")
    rows = []
    for name, title in _TITLES.items():
        row = [title]
        for cells in columns.values():
            row.append(_cell_text(cells[name]) if name in cells else "")
        rows.append(row)
    head = ["stage"]
    for title in columns:
        head.append(f"{title}: images/s / bound, ratio")
    return Table(head, rows)


def _cell_text(cell: Mapping[str, Any]) -> str:
    rates = f"{cell['stage_images_per_s']:,.0f} / {cell['bare_images_per_s']:,.0f}"
    spread = f"{cell['ratio_min']:.2f}–{cell['ratio_max']:.2f}"
    return f"{rates}, {cell['ratio_median']:.2f} ({spread})"
