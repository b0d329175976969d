"""The training stages of a recipe: which passes over which samples an epoch makes."""

from dataclasses import dataclass

from benchmarks.scaling.datasets import PlannedDataset
from benchmarks.scaling.networks import NetworkSize, feature_dim, network_size
from ray_defense.defenses.d_br import BackdoorRemoval
from ray_defense.defenses.d_st import SecureTraining
from ray_defense.training.settings import SupervisedConfig

_FLOAT_BYTES = 4
_LABEL_BYTES = 8
_LABEL_AND_TRUST_BYTES = 9


@dataclass(frozen=True)
class SamplePass:
    """One pass over some samples in an epoch of a stage."""

    num_samples: int
    num_forwards: int  # forward passes an image; a backward pass counts as two
    trains: bool = True


@dataclass(frozen=True)
class TrainingStage:
    """One training stage."""

    name: str
    network: NetworkSize
    passes: tuple[SamplePass, ...]
    num_epochs: int
    batch_size: int  # of a GPU
    num_momenta: int = 1  # in a checkpoint
    kept_bytes: int = 0  # written beside the checkpoint in every epoch
    gathered_bytes: int = 0  # a sample, that every GPU sends to every other: features with gradient
    plain_gathered_bytes: int = 0  # the same without gradient: labels
    drop_last: bool = False


def training_stages(data: PlannedDataset) -> list[TrainingStage]:
    """Returns the training stages of a dataset's recipe, in order."""
    recipe = data.recipe
    probe = recipe.probe
    whole = (SamplePass(data.num_samples, 3),)
    probe_network = network_size(probe.model, data.num_classes, data.size)
    stages = [
        TrainingStage(
            name="probe",
            network=probe_network,
            passes=whole,
            num_epochs=probe.num_epochs,
            batch_size=probe.batch_size,
            num_momenta=2,
            gathered_bytes=_FLOAT_BYTES * feature_dim(probe.model, data.num_classes),
            plain_gathered_bytes=_LABEL_BYTES,
        )
    ]
    assert recipe.backdoored is not None
    network = network_size(recipe.backdoored.model, data.num_classes, data.size)
    stages.append(_backdoored_stage(recipe.backdoored, network, whole))
    for defense in recipe.defenses:
        if isinstance(defense, BackdoorRemoval):
            stages.append(_d_br_stage(defense, data, network))
        elif isinstance(defense, SecureTraining):
            stages.append(_extractor_stage(defense, data))
    return stages


def part_sizes(data: PlannedDataset) -> tuple[int, int]:
    """Returns how many samples are trusted and how many are flagged."""
    fractions = data.recipe.decide
    num_trusted = round(fractions.trusted_fraction * data.num_samples)
    num_flagged = round(fractions.flagged_fraction * data.num_samples)
    return num_trusted, num_flagged


def _backdoored_stage(
    config: SupervisedConfig, network: NetworkSize, passes: tuple[SamplePass, ...]
) -> TrainingStage:
    return TrainingStage(
        name="backdoored",
        network=network,
        passes=passes,
        num_epochs=config.epochs,
        batch_size=config.batch_size,
    )


def _d_br_stage(
    config: BackdoorRemoval, data: PlannedDataset, network: NetworkSize
) -> TrainingStage:
    """Returns D-BR: a round trains on both parts, then measures its agreement with both."""
    num_trusted, num_flagged = part_sizes(data)
    passes = (
        SamplePass(num_flagged, 3),
        SamplePass(num_trusted, 3),
        SamplePass(num_flagged, 1, trains=False),
        SamplePass(num_trusted, 1, trains=False),
    )
    return TrainingStage(
        name="D-BR",
        network=network,
        passes=passes,
        num_epochs=config.rounds,
        batch_size=config.batch_size,
        kept_bytes=network.weight_bytes,
    )


def _extractor_stage(config: SecureTraining, data: PlannedDataset) -> TrainingStage:
    """Returns SS-CTL, with two views of every sample."""
    network = network_size(config.model, data.num_classes, data.size, config.projection_dim)
    return TrainingStage(
        name="SS-CTL",
        network=network,
        passes=(SamplePass(data.num_samples, 6),),
        num_epochs=config.epochs,
        batch_size=config.batch_size,
        gathered_bytes=2 * _FLOAT_BYTES * config.projection_dim,
        plain_gathered_bytes=_LABEL_AND_TRUST_BYTES,
        drop_last=True,
    )
