"""Finds, outside of a fold, what images of all labels share and their mirror images have not.

An attacker may use several triggers: once a pattern is found, the images that have it are left out,
and the search begins again.

The search starts at the difference between the mean contrast and its mirror image, and at the
contrasts of single images: some drawn at random, some that fit that difference best. The images
that fit a start best are told from the others, by turns; of several starts, the one counts by whose
pattern images stand out most from mirror images.

Shapes: M images, D values of local contrast, S starts.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from ray_defense.core.files import write_json
from ray_defense.core.random import permutation
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.detectors.contrast_reader import ContrastReader, num_in_memory
from ray_defense.detectors.held_out import samples_outside
from ray_defense.detectors.pattern_turns import (
    FEWEST_HIGHEST,
    Candidates,
    Pattern,
    agreed,
    follow_to_end,
    promising,
    scale_and_bias,
    scores_of,
    starts_of,
)
from ray_defense.detectors.required_models import NetworkInputs
from ray_defense.detectors.two_groups import fit_two_groups
from ray_defense.execution.protocols import Worker
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.weights import save_tensors
from ray_defense.scores.enrichment import enrichment
from ray_defense.store.artifacts import Artifact

if TYPE_CHECKING:
    from ray_defense.detectors.handed_pattern import HandedSearch

_LEAST_DEVIATION = 1e-6
_COLORS = 3


@torch.no_grad()
def search_handed_pattern(worker: Worker, artifact: Artifact, inputs: NetworkInputs) -> None:
    """Writes the filters of one fold, `model.safetensors`, and `metrics.json`.

    Row 2k looks for pattern k, and row 2k + 1 for its mirror image; those of patterns that were not
    found are 0.
    """
    searching = _Searching(worker, inputs)
    config = searching.config
    filters = torch.zeros(2 * config.max_patterns, len(searching.center_D))
    biases = torch.zeros(2 * config.max_patterns)
    found = []
    for number in range(config.max_patterns):
        pattern = searching.find()
        if pattern is None:
            break
        rows = slice(2 * number, 2 * number + 2)
        filters[rows], biases[rows] = searching.standardized(pattern)
        searching.leave_out(pattern)
        found.append(
            {
                "agreement": round(pattern.agreement, 4),
                "enrichment": round(pattern.enrichment, 1),
            }
        )
    state = {"classifier.weight": filters, "classifier.bias": biases}
    save_tensors(artifact.work / WEIGHTS, state)
    write_json(artifact.work / "metrics.json", {"history": [], "patterns": found})
    worker.report_epoch(1, {"patterns": float(len(found))})


class _Searching:
    """The samples outside of one fold, as contrasts that are centered like their mirror images."""

    def __init__(self, worker: Worker, inputs: NetworkInputs):
        self.config = cast("HandedSearch", inputs.networks.training)
        self.reader = ContrastReader(worker, inputs, self.config.workers.resident_bytes)
        index = samples_outside(inputs)
        height, width, _ = SuspectDataset(inputs.suspect.path).image_shape
        self.rows_and_columns = (height, width)
        num_kept = num_in_memory(self.config.max_bytes, _COLORS * height * width)
        order = permutation(self.reader.key("members"), len(index))
        drawn = np.sort(order[: max(self.config.fewest, num_kept)])
        contrasts_MD, _ = self.reader.read(index[drawn])
        mean_D = contrasts_MD.mean(0)
        self.center_D = (mean_D + self._mirrored(mean_D)) / 2
        power_D = contrasts_MD.var(0, correction=0)
        power_D = (power_D + self._mirrored(power_D)) / 2
        self.deviation_D = power_D.sqrt() + _LEAST_DEVIATION
        self.contrasts_MD = contrasts_MD.sub_(self.center_D).div_(self.deviation_D)

    def find(self) -> Pattern | None:
        """Returns the pattern by which images stand out most; None for none."""
        contrasts_MD = self.contrasts_MD
        if len(contrasts_MD) < self.config.fewest:
            return None
        halves = (contrasts_MD[0::2], contrasts_MD[1::2])
        patterns = agreed(halves, self._mirrored_scores, self._candidates())
        best = max(patterns, key=lambda pattern: pattern.merit)
        if best.agreement < self.config.min_agreement:
            return None
        standing_out = self.config.min_share * len(halves[0])
        if best.enrichment < max(self.config.min_enrichment, standing_out):
            return None
        return replace(best, values_D=follow_to_end(contrasts_MD, best))

    def leave_out(self, pattern: Pattern) -> None:
        """Forgets the images that probably have a pattern."""
        (scores_M,) = scores_of(self.contrasts_MD, pattern.values_D[None])
        groups = fit_two_groups(scores_M)
        if groups is not None:
            others_M = torch.from_numpy(groups.posteriors_M <= 0.5)
            self.contrasts_MD = self.contrasts_MD[others_M.to(self.contrasts_MD.device)]

    def standardized(self, pattern: Pattern) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns filters [2, D] and biases [2] that give mirror images median 0, deviation 1."""
        (scores_M,) = self._mirrored_scores(pattern.values_D[None], self.contrasts_MD)
        scale, bias = scale_and_bias(scores_M)
        filter_D = scale * pattern.values_D / self.deviation_D
        filters_2D = torch.stack((filter_D, self._mirrored(filter_D)))
        return filters_2D, bias - filters_2D @ self.center_D

    def _candidates(self) -> Candidates:
        """Returns where the search starts: what is most frequent over mirror images."""
        mean_D = self.contrasts_MD.mean(0)
        start_D = mean_D - self._mirrored(mean_D)
        key = self.reader.key("exemplars")
        starts_SD = starts_of(self.contrasts_MD, start_D, self.config.exemplars, key)
        return promising(self.contrasts_MD, starts_SD, self.config, self._best_first)

    def _best_first(self, turned_SD: torch.Tensor, share: float) -> torch.Tensor:
        """Returns the numbers of patterns, the most enriched ones in front."""
        fewest = max(FEWEST_HIGHEST, int(share * len(self.contrasts_MD) / 2))
        own_SM = scores_of(self.contrasts_MD, turned_SD)
        mirrored_SM = self._mirrored_scores(turned_SD, self.contrasts_MD)
        enrichments = []
        for own_M, mirrored_M in zip(own_SM, mirrored_SM, strict=True):
            enrichments.append(enrichment(own_M, mirrored_M, fewest))
        return torch.from_numpy(np.argsort(enrichments, kind="stable")[::-1].copy())

    def _mirrored_scores(self, units_SD: torch.Tensor, contrasts_MD: torch.Tensor) -> np.ndarray:
        """Returns how strongly the mirror images of images have patterns, float64 [S, M]."""
        return scores_of(contrasts_MD, self._mirrored(units_SD))

    def _mirrored(self, values: torch.Tensor) -> torch.Tensor:
        """Returns values, in the last dimension, at the places of the mirror image."""
        images = values.reshape(*values.shape[:-1], _COLORS, *self.rows_and_columns)
        return images.flip(-1).flatten(-3)
