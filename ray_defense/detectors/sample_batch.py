"""What detectors see of a batch: images, views of them, and what models make of each view, once.

Shapes: B samples of a batch, D features, N classes, C channels of a block, K draws of a transform.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from ray_defense.core.on_device import upload
from ray_defense.core.random import stream
from ray_defense.detectors.folds import folds_of
from ray_defense.detectors.required_models import RequiredModel
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.residual_blocks import RecordedBlocks
from ray_defense.scores.feature_consistency import feature_consistency
from ray_defense.training.normalization import Normalization
from ray_defense.transforms.compose import apply_all
from ray_defense.transforms.protocol import Transform


def draw_key(seed: int, draw: int) -> int:
    """Returns the random stream of a detector's draw (from 0) of its transform."""
    return stream(seed, "score", "draw", draw)


@dataclass(frozen=True, eq=False)
class ModelOutputs:
    """What one model makes of one view of a batch."""

    features_BD: torch.Tensor  # float
    logits_BN: torch.Tensor  # float
    blocks: tuple[torch.Tensor, ...]  # float [B, C] of each residual block, averaged over positions


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """The networks of a required model, on the device, in eval mode.

    With a `fold_key` each network reads the samples of its own fold. Without one each reads all
    samples: they are alternatives, such as the epochs of one probe.
    """

    networks: Sequence[FeatureClassifier]
    fold_key: int | None = None

    @torch.no_grad()
    def outputs(self, view_BCHW: torch.Tensor, index_B: np.ndarray) -> list[ModelOutputs]:
        """Returns what the networks make of a normalized view: one for each alternative."""
        if self.fold_key is None or len(self.networks) == 1:
            return [_outputs_of(network, view_BCHW) for network in self.networks]
        fold_B = folds_of(index_B, self.fold_key, len(self.networks))
        parts = []
        rows = []
        for fold, network in enumerate(self.networks):
            in_fold = np.flatnonzero(fold_B == fold)
            if len(in_fold):
                chosen = upload(in_fold, view_BCHW.device)
                parts.append(_outputs_of(network, view_BCHW[chosen]))
                rows.append(in_fold)
        order = upload(np.argsort(np.concatenate(rows)), view_BCHW.device)
        return [_join_outputs(parts, order)]


def _outputs_of(network: FeatureClassifier, view_BCHW: torch.Tensor) -> ModelOutputs:
    with RecordedBlocks(network) as recorded:
        features_BD, logits_BN = network(view_BCHW)
    return ModelOutputs(features_BD, logits_BN, tuple(recorded.pooled))


def _join_outputs(parts: Sequence[ModelOutputs], order: torch.Tensor) -> ModelOutputs:
    """Returns the outputs of several parts of a batch as one, in the given order of their rows."""
    blocks = []
    for of_parts in zip(*[part.blocks for part in parts], strict=True):
        blocks.append(torch.cat(of_parts)[order])
    return ModelOutputs(
        features_BD=torch.cat([part.features_BD for part in parts])[order],
        logits_BN=torch.cat([part.logits_BN for part in parts])[order],
        blocks=tuple(blocks),
    )


@dataclass(frozen=True, eq=False)
class SampleBatch:
    """Some samples, as detectors read them.

    What two detectors need of a view is made once. Every random draw depends on the seed and the
    index of its sample alone (D10).
    """

    images_BCHW: torch.Tensor  # float in [0, 1], before normalization
    labels_B: torch.Tensor  # int64, as received
    index_B: np.ndarray  # int64
    seed: int
    normalization: Normalization
    models: dict[RequiredModel, OpenedModel]
    alternative: int = 0  # which network answers where a model has alternatives
    _outputs: dict[tuple[OpenedModel, tuple[Transform, ...], int], list[ModelOutputs]] = field(
        default_factory=dict
    )
    _views: dict[tuple[tuple[Transform, ...], int], torch.Tensor] = field(default_factory=dict)

    def alternatives(self, model: RequiredModel) -> "Iterator[SampleBatch]":
        """Yields this batch as each alternative of a model answers for it."""
        for number in range(len(self.models[model].networks)):
            yield replace(self, alternative=number)

    def outputs(
        self, model: RequiredModel, tau: tuple[Transform, ...] = (), draw: int = 0
    ) -> ModelOutputs:
        """Returns what a model makes of a view of the batch.

        Args:
            model: One of the models that the detector needs.
            tau: The transforms that make the view; none for the images themselves.
            draw: Which draw of the transforms, from 0.
        """
        opened = self.models[model]
        key = (opened, tau, draw)
        if key not in self._outputs:
            self._outputs[key] = opened.outputs(self.view(tau, draw), self.index_B)
        of_alternatives = self._outputs[key]
        return of_alternatives[min(self.alternative, len(of_alternatives) - 1)]

    def logits(self, model: RequiredModel) -> np.ndarray:
        """Returns a model's logits of the images themselves, float32 [B, N]."""
        return self.outputs(model).logits_BN.float().cpu().numpy()

    def features(self, model: RequiredModel) -> np.ndarray:
        """Returns a model's features of the images themselves, float32 [B, D]."""
        return self.outputs(model).features_BD.float().cpu().numpy()

    def network(self, model: RequiredModel) -> FeatureClassifier:
        """Returns the network of a model that has one, in eval mode."""
        (network,) = self.models[model].networks
        return network

    def view(self, tau: tuple[Transform, ...] = (), draw: int = 0) -> torch.Tensor:
        """Returns a normalized view of the batch, float [B, 3, H, W]; see `outputs`."""
        key = (tau, draw)
        if key not in self._views:
            images_BCHW = self.images_BCHW
            if tau:
                self._views.clear()  # only the last one is kept
                key_of_draw = draw_key(self.seed, draw)
                images_BCHW = apply_all(tau, images_BCHW, key_of_draw, self.index_B)
            self._views[key] = self.normalization.apply(images_BCHW)
        return self._views[key]

    def distances(self, model: RequiredModel, tau: tuple[Transform, ...], draws: int) -> np.ndarray:
        """Returns how far a model's features move under each draw of a transform, Eq. (1).

        Returns:
            Squared distances, float64 [K, B].
        """
        clean_BD = self.outputs(model).features_BD
        distances = []
        for draw in range(draws):
            transformed_BD = self.outputs(model, tau, draw).features_BD
            distances.append(feature_consistency(clean_BD, transformed_BD))
        distances_KB: np.ndarray = torch.stack(distances).cpu().numpy()
        return distances_KB
