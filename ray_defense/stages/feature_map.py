"""probe, split --feature map--> samples as points: principal components and t-SNE of features.

It is for people to look at; nothing is decided by it.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ray_defense.core.random import permutation, stream
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import FunctionWork, Step
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.protocol import Model
from ray_defense.stages.context import PlanContext
from ray_defense.store.artifacts import Artifact
from ray_defense.training.normalization import Normalization

FEATURE_MAP = "feature_map"
FEATURE_MAP_FILE = "points.parquet"
VERSION = 2
MAX_POINTS = 3000
_MAX_FLAGGED = 1000  # of them; the rest is drawn from the other samples
_BATCH_SIZE = 256
_THREADS = 2


@dataclass(frozen=True)
class FeatureMapInputs:
    """A probe, and the samples that it sees; plain data that travels to a worker."""

    network: Model
    weights: Path
    suspect: Path
    normalization: Normalization
    index: np.ndarray


def feature_map_step(
    network: Model, probe: Step, suspect: Step, split: Step, context: PlanContext
) -> Step:
    """Returns the step that maps up to `MAX_POINTS` samples, the flagged first.

    It leaves `points.parquet`: index, x and y by principal components, and tsne_x and tsne_y.

    Args:
        network: The network of the probe.
        probe: The step of the probe.
        suspect: The step of the dataset.
        split: The step of its split.
        context: The surroundings of the plan.
    """
    needs = {"suspect": suspect, "probe": probe, "split": split}
    artifact = context.locate(
        FEATURE_MAP,
        VERSION,
        {"max_points": MAX_POINTS},
        needs,
        normalization=context.normalization,
    )
    function = partial(
        _map,
        network,
        probe.artifact,
        suspect.artifact,
        split=split.artifact,
        seed=context.seed,
        normalization=context.normalization,
    )
    return Step(artifact, needs=tuple(needs.values()), work=FunctionWork(function))


def _map(
    network: Model,
    probe: Artifact,
    suspect: Artifact,
    artifact: Artifact,
    executor: Executor,
    *,
    split: Artifact,
    seed: int,
    normalization: Normalization,
) -> None:
    import pyarrow as pa

    from ray_defense.data.split_table import read_split
    from ray_defense.data.table_file import write_table
    from ray_defense.scores.neighbor_map import neighbor_map
    from ray_defense.scores.principal_components import principal_components

    table = read_split(split.path)
    index = _chosen(table.members("flagged"), table.others("flagged"), seed)
    inputs = FeatureMapInputs(
        network=network,
        weights=probe.path / WEIGHTS,
        suspect=suspect.path,
        normalization=normalization,
        index=index,
    )
    (features_MD,) = executor.map(read_features, [inputs])
    points_M2 = principal_components(features_MD)
    places_M2 = neighbor_map(features_MD, stream(seed, FEATURE_MAP, "neighbors"))
    columns = {
        "index": index,
        "x": points_M2[:, 0],
        "y": points_M2[:, 1],
        "tsne_x": places_M2[:, 0],
        "tsne_y": places_M2[:, 1],
    }
    write_table(artifact.work / FEATURE_MAP_FILE, pa.table(columns))


def _chosen(flagged: np.ndarray, others: np.ndarray, seed: int) -> np.ndarray:
    """Returns the indices of the samples to map, ascending."""
    drawn = permutation(stream(seed, FEATURE_MAP, "flagged"), len(flagged))
    of_flagged = flagged[drawn[:_MAX_FLAGGED]]
    drawn = permutation(stream(seed, FEATURE_MAP, "others"), len(others))
    of_others = others[drawn[: MAX_POINTS - len(of_flagged)]]
    return np.sort(np.concatenate((of_flagged, of_others)))


def read_features(inputs: FeatureMapInputs) -> np.ndarray:
    """Returns the features of some samples before the classifier of a network, float32 [M, D]."""
    import torch

    from ray_defense.data.suspect_dataset import SuspectDataset
    from ray_defense.execution.device import best_device, torch_threads
    from ray_defense.models.weights import load_model
    from ray_defense.store.checked_files import checked_file
    from ray_defense.training.loop import to_device
    from ray_defense.training.views import to_float

    dataset = SuspectDataset(inputs.suspect)
    device = best_device()
    model = load_model(checked_file(inputs.weights), inputs.network, dataset.num_classes)
    model = to_device(model, device).eval()
    positions = dataset.locate(inputs.index)
    parts = []
    with torch.no_grad(), torch_threads(_THREADS):
        for start in range(0, len(positions), _BATCH_SIZE):
            images = dataset.read_images(positions[start : start + _BATCH_SIZE])
            images_BCHW = to_float(torch.from_numpy(images).to(device))
            features_BD, _ = model(inputs.normalization.apply(images_BCHW))
            parts.append(features_BD.float().cpu().numpy())
    features: np.ndarray = np.concatenate(parts)
    return features
