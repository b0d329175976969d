"""The tables of `deploy/scaling.md`, on 1 to 64 GPUs, from `scaling_model`; `tables.py` writes them there.

python benchmarks/scaling_plan.py
"""

from collections.abc import Callable
from math import ceil

from scaling_inputs import ASSUMED, assumed, known, measured
from scaling_model import Data, blocks, datasets, epoch, loss_bytes, network, stage_s, stages

GPUS = (1, 2, 4, 8, 16, 32, 64)
MB = 10**6
Table = tuple[list[str], list[list[str]]]


def training(data: Data) -> Table:
    """Returns one row a stage and number of GPUs."""
    head = ["stage", "GPUs", "batch", "steps an epoch", "left out %", "read: start / epoch, MB", "read, MB/s"]
    head += [
        "gradients a step, MB",
        "gathered a step, MB",
        "checkpoint an epoch, MB",
        "epoch, s",
        "stage, s",
        "quicker",
        "most of it",
    ]
    rows = []
    for stage in stages(data):
        alone = known("train_start_s") + stage_s(data, stage, 1)
        for gpus in GPUS:
            one, whole = epoch(data, stage, gpus), known("train_start_s") + stage_s(data, stage, gpus)
            parts = {name: stage.epochs * seconds for name, seconds in one.seconds.items()}
            parts |= {"start of Train": known("train_start_s"), "disk": parts["disk"] + one.first_read / assumed("disk")}
            lost = max(data.left_out(each.samples, gpus) for each in stage.passes)
            cells = [stage.name, gpus, f"{gpus * stage.batch:,}", one.steps, f"{100 * lost:.1f}"]
            cells += [f"{one.first_read / MB:,.0f} / {one.read / MB:,.0f}", f"{one.read / one.total_s / MB:,.0f}"]
            cells += [f"{one.reduced / MB:.1f}", f"{one.gathered / MB:.2f}", f"{one.checkpoint / MB:.0f}"]
            cells += [f"{one.total_s:.2f}", f"{whole:,.0f}", f"{alone / whole:.1f}", max(parts, key=lambda name: parts[name])]
            rows.append([str(cell) for cell in cells])
    return head, rows


def ingesting(data: Data) -> Table:
    """Returns ingest: decoding, poisoning and writing the shards, on the CPUs of the GPU nodes."""
    rows = []
    for gpus in GPUS:
        tasks = min(data.shards, int(gpus * assumed("cpus_per_gpu")))
        work_s = ceil(data.shards / tasks) * data.recipe.shard.shard_size / data.ingest_rate
        moved = data.samples * (data.source_bytes + data.stored)
        seconds = max(work_s, moved / assumed("disk"))
        limit = "disk" if seconds > work_s else "number of shards" if tasks == data.shards else "CPUs"
        cells = [
            gpus,
            f"{tasks} of {data.shards}",
            f"{moved / MB:,.0f}",
            f"{seconds:.1f}",
            f"{moved / seconds / MB:,.0f}",
            limit,
        ]
        rows.append([str(cell) for cell in cells])
    return ["GPUs", "tasks at once, of shards", "read and written, MB", "s", "MB/s", "limit"], rows


def scoring(data: Data) -> Table:
    """Returns scoring with the clean and one transformed view of every image, one actor a GPU."""
    probe = network(data.recipe.probe.model, data.num_classes, data.side)
    score, rows = data.recipe.score, []
    size = min(score.block_size, data.recipe.shard.shard_size)
    bare_s = 2 * score.batch_size * probe.flops / (assumed("flops") * assumed("utilization"))
    decode_s = size / known("decode_rate") if data.jpeg else 0.0
    forward_s = ceil(size / score.batch_size) * max(bare_s, assumed("step_s")) / known("score_ratio")
    for gpus in GPUS:
        actors = min(gpus, blocks(data))
        rounds = ceil(blocks(data) / actors)
        read = data.samples * data.stored
        seconds = max(rounds * (forward_s + decode_s), read / assumed("disk"))
        parts = {"start of the actors": known("actor_start_s"), "JPEG decode": rounds * decode_s, "step": rounds * forward_s}
        cells = [gpus, f"{actors} of {blocks(data)}", f"{100 * blocks(data) / (rounds * actors):.0f}", f"{read / MB:,.0f}"]
        cells += [f"{read / seconds / MB:,.0f}", f"{seconds:.2f}", f"{seconds + known('actor_start_s'):.1f}"]
        rows.append([*map(str, cells), max(parts, key=lambda name: parts[name])])
    return ["GPUs", "actors, of blocks", "busy %", "read, MB", "MB/s", "s", "with start, s", "most of it"], rows


def science() -> Table:
    """Returns what the size of the group changes in CIFAR-10's result."""
    data = datasets()[0]
    recipe = data.recipe
    poisoned = round(recipe.split.poison_fraction * data.samples)
    rows = []
    for gpus in GPUS:
        supervised, contrastive = gpus * recipe.backdoor.batch_size, gpus * recipe.d_st.batch_size
        views = 2 * contrastive
        updates = [recipe.backdoor.epochs * data.steps(data.samples, recipe.backdoor.batch_size, gpus, False)]
        updates += [recipe.d_st.epochs * data.steps(data.samples, recipe.d_st.batch_size, gpus, True)]
        unlearn = data.steps(poisoned, recipe.d_br.batch_size, gpus, False)
        cells = [gpus, f"{supervised:,}", f"{updates[0]:,}", f"{supervised / data.num_classes:,.0f}", unlearn]
        rows.append([*map(str, cells), f"{views - 2:,}", f"{updates[1]:,}", f"{loss_bytes() * views**2 / 1e9:,.2f}"])
    head = ["GPUs", "batch", "updates of the backdoored model", "a class and step in Eq. (8)", "steps of unlearning a round"]
    return [*head, "negatives of a view", "updates of SS-CTL", "SS-CTL's loss keeps, GB a GPU"], rows


def sweeps(trials: int = 60) -> Table:
    """Returns a sweep of whole CIFAR-10 runs, one trial a GPU: nothing shared but the disk."""
    data = datasets()[0]
    of_run = stages(data)
    alone = sum(stage_s(data, stage, 1) for stage in of_run)
    written = sum(stage.epochs * epoch(data, stage, 1).checkpoint for stage in of_run)
    rows = []
    for gpus in GPUS:
        running = min(gpus, trials)
        disk_s = running * written / assumed("disk")
        trial_s = max(alone, disk_s)
        whole = ceil(trials / gpus) * trial_s
        most = "disk" if disk_s > alone else "trials" if gpus > trials else "GPU and step floor"
        cells = [gpus, running, f"{running * written / trial_s / MB:,.0f}", f"{trial_s / 60:.0f}", f"{whole / 3600:.1f}"]
        rows.append([*map(str, cells), f"{trials * alone / whole:.1f}", most])
    return ["GPUs", "trials at once", "checkpoints, MB/s", "a trial, min", "60 trials, h", "quicker", "limit"], rows


def models() -> Table:
    """Returns what the models of both recipes weigh."""
    rows = []
    for data in datasets():
        for stage in stages(data):
            one, checkpoint = stage.network, epoch(data, stage, 1).checkpoint
            cells = [f"{one.trained:,}", f"{4 * one.trained / MB:.1f}", f"{one.buffers / 1000:.1f}", f"{one.flops / 1e9:.2f}"]
            rows.append([data.name, stage.name, *cells, f"{checkpoint / MB:.0f}"])
    head = ["dataset", "stage", "trained parameters", "gradients, MB", "buffers, kB", "GFLOP an image forward"]
    return [*head, "written an epoch, MB"], rows


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _constants(found: dict[str, tuple[float, str, str]], source: str) -> Table:
    return ["constant", "value", "unit", source], [
        [f"`{name}`", f"{value:.3g}" if value >= 1e6 else _number(value), unit, where]
        for name, (value, unit, where) in found.items()
    ]


TABLES: dict[str, Callable[[], Table]] = {
    "measured": lambda: _constants(measured(), "in `results/`"),
    "assumed": lambda: _constants(ASSUMED, "why"),
    "models": models,
    "science": science,
    "cifar10_ingest": lambda: ingesting(datasets()[0]),
    "cifar10_score": lambda: scoring(datasets()[0]),
    "cifar10_training": lambda: training(datasets()[0]),
    "imagenet200_ingest": lambda: ingesting(datasets()[1]),
    "imagenet200_score": lambda: scoring(datasets()[1]),
    "imagenet200_training": lambda: training(datasets()[1]),
    "whole_sweeps": sweeps,
}


if __name__ == "__main__":
    for name, made in TABLES.items():
        head, rows = made()
        print(f"\n{name}")
        for line in (head, *rows):
            print(" | ".join(line))
