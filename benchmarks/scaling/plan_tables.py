"""The tables of docs/scaling.md, on 1 to 64 GPUs."""

from collections.abc import Mapping
from math import ceil

from benchmarks.documents import Table
from benchmarks.scaling.datasets import PlannedDataset, cifar10
from benchmarks.scaling.epochs import epoch_cost, stage_seconds
from benchmarks.scaling.inputs import assumed, measured
from benchmarks.scaling.networks import contrastive_bytes_per_pair, network_size
from benchmarks.scaling.stages import TrainingStage, part_sizes, training_stages
from ray_defense.defenses.d_br import BackdoorRemoval
from ray_defense.defenses.d_st import SecureTraining

NUM_GPUS = (1, 2, 4, 8, 16, 32, 64)
MB = 10**6
_NUM_TRIALS = 60  # of the sweep of whole runs


def training_table(data: PlannedDataset) -> Table:
    """Returns one row a stage and number of GPUs."""
    head = [
        "stage",
        "GPUs",
        "batch",
        "steps an epoch",
        "left out %",
        "read: start / epoch, MB",
        "read, MB/s",
        "gradients a step, MB",
        "gathered a step, MB",
        "written an epoch, MB",
        "epoch, s",
        "stage, s",
        "quicker",
        "most of it",
    ]
    rows = []
    for stage in training_stages(data):
        for num_gpus in NUM_GPUS:
            rows.append(_training_row(data, stage, num_gpus))
    return Table(head, rows)


def _training_row(data: PlannedDataset, stage: TrainingStage, num_gpus: int) -> list[str]:
    cost = epoch_cost(data, stage, num_gpus)
    start_s = measured("train_start_s")
    alone_s = start_s + stage_seconds(data, stage, 1)
    whole_s = start_s + stage_seconds(data, stage, num_gpus)
    parts = {name: stage.num_epochs * seconds for name, seconds in cost.seconds.items()}
    parts["start of Train"] = start_s
    parts["disk"] += cost.first_read_bytes / assumed("disk")
    left_out = 0.0
    for sample_pass in stage.passes:
        of_pass = data.left_out_fraction(sample_pass.num_samples, num_gpus)
        left_out = max(left_out, of_pass)
    return [
        stage.name,
        str(num_gpus),
        f"{num_gpus * stage.batch_size:,}",
        str(cost.num_steps),
        f"{100 * left_out:.1f}",
        f"{cost.first_read_bytes / MB:,.0f} / {cost.read_bytes / MB:,.0f}",
        f"{cost.read_bytes / cost.total_s / MB:,.0f}",
        f"{cost.reduced_bytes / MB:.1f}",
        f"{cost.gathered_bytes / MB:.2f}",
        f"{cost.written_bytes / MB:.1f}",
        f"{cost.total_s:.2f}",
        f"{whole_s:,.0f}",
        f"{alone_s / whole_s:.1f}",
        _largest(parts),
    ]


def _largest(parts: Mapping[str, float]) -> str:
    """Returns the name of the part that takes most."""
    return max(parts, key=lambda name: parts[name])


def ingest_table(data: PlannedDataset) -> Table:
    """Returns ingest: decoding, poisoning and writing shards, on the CPUs of the GPU nodes."""
    head = ["GPUs", "tasks at once, of shards", "read and written, MB", "s", "MB/s", "limit"]
    rows = []
    for num_gpus in NUM_GPUS:
        num_tasks = min(data.num_shards, int(num_gpus * assumed("cpus_per_gpu")))
        num_rounds = ceil(data.num_shards / num_tasks)
        work_s = num_rounds * data.recipe.ingest.shard_size / data.ingest_rate
        moved_bytes = data.num_samples * (data.source_bytes + data.stored_bytes)
        seconds = max(work_s, moved_bytes / assumed("disk"))
        if seconds > work_s:
            limit = "disk"
        elif num_tasks == data.num_shards:
            limit = "number of shards"
        else:
            limit = "CPUs"
        cells = [
            str(num_gpus),
            f"{num_tasks} of {data.num_shards}",
            f"{moved_bytes / MB:,.0f}",
            f"{seconds:.1f}",
            f"{moved_bytes / seconds / MB:,.0f}",
            limit,
        ]
        rows.append(cells)
    return Table(head, rows)


def scoring_table(data: PlannedDataset) -> Table:
    """Returns scoring with the clean and one transformed view of every image, an actor a GPU."""
    head = ["GPUs", "actors, of blocks", "busy %", "read, MB", "MB/s", "s", "with start, s"]
    detect = data.recipe.detect
    probe = network_size(data.recipe.probe.model, data.num_classes, data.size)
    block_size = min(detect.block_size, data.recipe.ingest.shard_size)
    flops_per_s = assumed("flops") * assumed("utilization")
    bare_s = 2 * detect.batch_size * probe.flops / flops_per_s
    decode_s = block_size / measured("decode_rate") if data.is_jpeg else 0.0
    num_batches = ceil(block_size / detect.batch_size)
    forward_s = num_batches * max(bare_s, assumed("step_s")) / measured("score_ratio")
    read_bytes = data.num_samples * data.stored_bytes
    start_s = measured("actor_start_s")
    rows = []
    for num_gpus in NUM_GPUS:
        num_actors = min(num_gpus, data.num_blocks)
        num_rounds = ceil(data.num_blocks / num_actors)
        seconds = max(num_rounds * (forward_s + decode_s), read_bytes / assumed("disk"))
        parts = {
            "start of the actors": start_s,
            "JPEG decode": num_rounds * decode_s,
            "step": num_rounds * forward_s,
        }
        cells = [
            str(num_gpus),
            f"{num_actors} of {data.num_blocks}",
            f"{100 * data.num_blocks / (num_rounds * num_actors):.0f}",
            f"{read_bytes / MB:,.0f}",
            f"{read_bytes / seconds / MB:,.0f}",
            f"{seconds:.2f}",
            f"{seconds + start_s:.1f}",
            _largest(parts),
        ]
        rows.append(cells)
    return Table([*head, "most of it"], rows)


def science_table() -> Table:
    """Returns what the size of the group changes in CIFAR-10's result."""
    head = [
        "GPUs",
        "batch",
        "updates of the backdoored model",
        "a class and step in Eq. (8)",
        "steps of unlearning a round",
        "negatives of a view",
        "updates of SS-CTL",
        "SS-CTL's loss keeps, GB a GPU",
    ]
    data = cifar10()
    backdoored = data.recipe.backdoored
    d_br, d_st = data.recipe.defenses
    assert backdoored is not None
    assert isinstance(d_br, BackdoorRemoval) and isinstance(d_st, SecureTraining)
    _, num_flagged = part_sizes(data)
    count = data.num_samples
    rows = []
    for num_gpus in NUM_GPUS:
        batch_size = num_gpus * backdoored.batch_size
        num_views = 2 * num_gpus * d_st.batch_size
        steps = data.num_steps(count, backdoored.batch_size, num_gpus, drop_last=False)
        contrastive_steps = data.num_steps(count, d_st.batch_size, num_gpus, drop_last=True)
        unlearn_steps = data.num_steps(num_flagged, d_br.batch_size, num_gpus, drop_last=False)
        cells = [
            str(num_gpus),
            f"{batch_size:,}",
            f"{backdoored.epochs * steps:,}",
            f"{batch_size / data.num_classes:,.0f}",
            str(unlearn_steps),
            f"{num_views - 2:,}",
            f"{d_st.epochs * contrastive_steps:,}",
            f"{contrastive_bytes_per_pair() * num_views**2 / 1e9:,.2f}",
        ]
        rows.append(cells)
    return Table(head, rows)


def whole_runs_table() -> Table:
    """Returns a sweep of whole CIFAR-10 runs, a trial a GPU: nothing is shared but the disk."""
    head = ["GPUs", "trials at once", "checkpoints, MB/s", "a trial, min", "60 trials, h"]
    data = cifar10()
    alone_s = 0.0
    written_bytes = 0
    for stage in training_stages(data):
        alone_s += stage_seconds(data, stage, 1)
        written_bytes += stage.num_epochs * epoch_cost(data, stage, 1).written_bytes
    rows = []
    for num_gpus in NUM_GPUS:
        num_running = min(num_gpus, _NUM_TRIALS)
        disk_s = num_running * written_bytes / assumed("disk")
        trial_s = max(alone_s, disk_s)
        whole_s = ceil(_NUM_TRIALS / num_gpus) * trial_s
        if disk_s > alone_s:
            limit = "disk"
        elif num_gpus > _NUM_TRIALS:
            limit = "trials"
        else:
            limit = "GPU and step floor"
        cells = [
            str(num_gpus),
            str(num_running),
            f"{num_running * written_bytes / trial_s / MB:,.0f}",
            f"{trial_s / 60:.0f}",
            f"{whole_s / 3600:.1f}",
            f"{_NUM_TRIALS * alone_s / whole_s:.1f}",
            limit,
        ]
        rows.append(cells)
    return Table([*head, "quicker", "limit"], rows)
