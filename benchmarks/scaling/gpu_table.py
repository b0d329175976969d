"""The table of docs/scaling.md that sets guesses of the plan beside what one GPU measured."""

from benchmarks.documents import Table, load_result
from benchmarks.scaling.inputs import assumed, measured
from benchmarks.scaling.networks import network_size
from ray_defense.models.resnet18 import ResNet18

_STAGES = {"backdoored": "the backdoored model", "probe_ce": "the probe's cross-entropy"}
_PASSES = 3  # forward and backward, in forward passes


def guesses_table() -> Table:
    """Returns a row for each guess that the session on a GPU measured something of."""
    cells = load_result("gpu/bounds.json")["cells"]
    rows = []
    for name, title in _STAGES.items():
        cell = cells[name]
        stage_ms = 1000 * cell["batch_size"] / cell["stage_images_per_s"]
        bare_ms = 1000 * cell["batch_size"] / cell["bare_images_per_s"]
        guess = f"`step_s`: {1000 * assumed('step_s'):.0f} ms"
        rows.append([guess, f"{title}: {stage_ms:.1f} ms", f"{bare_ms:.1f} ms"])
    views = cells["ss_ctl"]
    rates = []
    for side in ("stage", "bare"):
        used = _used_fraction(views[f"{side}_images_per_s"])
        rates.append(f"{views[f'{side}_images_per_s']:,.0f} views/s, {used:.2f}")
    title = f"SS-CTL at {views['batch_size']:,} views a step: {rates[0]}"
    rows.append([f"`utilization`: {assumed('utilization'):g}", title, rates[1]])
    scoring = cells["score_1"]
    rows.append(
        [
            f"`score_ratio`: {measured('score_ratio'):.2f} (of the CPU)",
            f"scoring, K = 1: {scoring['stage_images_per_s']:,.0f} images/s, "
            f"{scoring['ratio_median']:.2f}",
            f"{scoring['bare_images_per_s']:,.0f} images/s, in bfloat16 "
            f"{scoring['bare_bf16_images_per_s']:,.0f}",
        ]
    )
    ingest = load_result("gpu/ingest.json")
    rows.append(
        [
            f"`ingest_rate_32`: {measured('ingest_rate_32'):,.0f} images/s (of the CPU)",
            f"ingest on one core: {ingest['images_per_s']:,.0f} images/s",
            "",
        ]
    )
    return Table(["the plan", "one H200, ResNet-18, 32 pixels", "its bare loop"], rows)


def _used_fraction(images_per_s: float) -> float:
    """Returns the share of the data sheet's FLOP/s that a training by ResNet-18 uses."""
    flops = network_size(ResNet18(), 10, 32).flops
    return _PASSES * flops * images_per_s / assumed("flops")
