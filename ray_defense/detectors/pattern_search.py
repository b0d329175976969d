"""Finds, outside of a fold, the pattern that some images of a label share: one filter a label.

In each label the search starts at the difference between the label's mean contrast and that of the
other labels, and at the contrasts of single images: some drawn at random, some that fit that
difference best. The images that fit a start best are told from the label's others, by turns; of
several starts, the one counts by whose pattern the label's images stand out most from those of
other labels.

Shapes: M images of a label, D values of local contrast, C classes, S starts.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from ray_defense.core.files import write_json
from ray_defense.core.random import permutation
from ray_defense.detectors.contrast_reader import ContrastReader, num_in_memory
from ray_defense.detectors.held_out import samples_outside
from ray_defense.detectors.pattern_turns import (
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
from ray_defense.detectors.two_groups import fit_rows
from ray_defense.execution.protocols import Worker
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.weights import save_tensors
from ray_defense.store.artifacts import Artifact

if TYPE_CHECKING:
    from ray_defense.detectors.pattern_detector import PatternSearch

_PARTS_OF_POOL = 8  # the other labels' images in memory take so many times less than one label's


@torch.no_grad()
def search_patterns(worker: Worker, artifact: Artifact, inputs: NetworkInputs) -> None:
    """Writes the filters of one fold, `model.safetensors`, and `metrics.json`."""
    searching = _Searching(worker, inputs)
    filters_CD, bias_C, found = searching.run()
    state = {"classifier.weight": filters_CD, "classifier.bias": bias_C}
    save_tensors(artifact.work / WEIGHTS, state)
    write_json(artifact.work / "metrics.json", {"history": [], "patterns": found})
    worker.report_epoch(1, {"patterns": float(len(found))})


class _Searching:
    """The search outside of one fold, and what it knows of all labels before it begins."""

    def __init__(self, worker: Worker, inputs: NetworkInputs):
        self.config = cast("PatternSearch", inputs.networks.training)
        self.reader = ContrastReader(worker, inputs, self.config.workers.resident_bytes)
        self.data = self.reader.open(samples_outside(inputs))
        self.labels = self.data.labels_of_index()
        self.present = np.unique(self.labels)
        self.mean_CD, self.deviation_D = self._measure()
        self.center_D = self.mean_CD[self.present].median(0).values
        order = permutation(self.reader.key("pool"), len(self.labels))
        drawn = np.sort(order[: self._num_kept(_PARTS_OF_POOL)])
        self.pool_ND, self.pool_labels_N = self._standard_contrasts(self.data.index[drawn])

    def run(self) -> tuple[torch.Tensor, torch.Tensor, list[dict[str, float]]]:
        """Returns filters [C, D] and biases [C] of standardized scores, and what was found."""
        patterns_CD = torch.zeros_like(self.mean_CD)
        found = []
        for label in self.present.tolist():
            pattern = self._find(label)
            if pattern is not None and pattern.agreement >= self.config.min_agreement:
                patterns_CD[label] = pattern.values_D
                found.append(
                    {
                        "label": label,
                        "agreement": round(pattern.agreement, 4),
                        "enrichment": round(pattern.enrichment, 1),
                    }
                )
        filters_CD, bias_C = self._standardized(patterns_CD / self.deviation_D)
        return filters_CD, bias_C, found

    def _measure(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the mean contrast of each label [C, D], and the deviation of each value [D]."""
        num_classes = self.data.num_classes
        sum_CD = None
        squares_D = None
        for contrast_BD, labels_B in self.reader.batches(self.data):
            if sum_CD is None or squares_D is None:
                sum_CD = contrast_BD.new_zeros(num_classes, contrast_BD.shape[1])
                squares_D = contrast_BD.new_zeros(contrast_BD.shape[1])
            is_label_BC = torch.nn.functional.one_hot(labels_B, num_classes).float()
            sum_CD += is_label_BC.T @ contrast_BD
            squares_D += contrast_BD.square().sum(0)
        assert sum_CD is not None and squares_D is not None
        counts_C = torch.from_numpy(np.bincount(self.labels, minlength=num_classes))
        mean_CD = sum_CD / counts_C.clamp(min=1).to(sum_CD.device)[:, None]
        mean_D = sum_CD.sum(0) / len(self.labels)
        variance_D = squares_D / len(self.labels) - mean_D.square()
        return mean_CD, variance_D.clamp(min=0).sqrt() + 1e-6

    def _num_kept(self, parts: int) -> int:
        """Returns how many contrasts take no more than a part of `max_bytes`."""
        return max(
            self.config.fewest, num_in_memory(self.config.max_bytes // parts, len(self.center_D))
        )

    def _find(self, label: int) -> Pattern | None:
        """Returns the pattern that makes a label stand out most; None for too few images."""
        members = self.data.index[self.labels == label]
        order = permutation(self.reader.key("members", label), len(members))[: self._num_kept(1)]
        if len(order) < self.config.fewest:
            return None
        start_D = (self.mean_CD[label] - self.center_D) / self.deviation_D
        contrasts_MD, _ = self._standard_contrasts(np.sort(members[order]))
        halves = (contrasts_MD[0::2], contrasts_MD[1::2])
        others_ND = self.pool_ND[torch.from_numpy(self.pool_labels_N != label)]

        def scores_of_others(units_SD: torch.Tensor, _: torch.Tensor) -> np.ndarray:
            return scores_of(others_ND, units_SD)

        candidates = self._candidates(contrasts_MD, start_D, label)
        patterns = agreed(halves, scores_of_others, candidates)
        best = max(patterns, key=lambda pattern: pattern.merit)
        unit_D = follow_to_end(contrasts_MD, best)
        if float(unit_D @ start_D) < 0:  # the other labels have it, and some of this one do not
            unit_D = -unit_D
        return replace(best, values_D=unit_D)

    def _standard_contrasts(self, index: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """Returns the contrasts of samples in deviations from the center, and their labels."""
        contrasts_MD, labels_M = self.reader.read(index)
        return (contrasts_MD - self.center_D) / self.deviation_D, labels_M

    def _candidates(
        self, contrasts_MD: torch.Tensor, start_D: torch.Tensor, label: int
    ) -> Candidates:
        """Returns where the search of a label starts: what parts its images best."""

        def best_first(turned_SD: torch.Tensor, _: float) -> torch.Tensor:
            separation_S = fit_rows(turned_SD @ contrasts_MD.T).separation_S
            return separation_S.argsort(descending=True, stable=True)

        key = self.reader.key("exemplars", label)
        starts_SD = starts_of(contrasts_MD, start_D, self.config.exemplars, key)
        return promising(contrasts_MD, starts_SD, self.config, best_first)

    def _standardized(self, filters_CD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns filters and biases that give the other labels' samples median 0, deviation 1."""
        scores = []
        labels = []
        for contrast_BD, labels_B in self.reader.batches(self.data):
            scores.append((contrast_BD @ filters_CD.T).cpu())
            labels.append(labels_B.cpu())
        scores_NC = torch.cat(scores).double().numpy()
        labels_N = torch.cat(labels).numpy()
        scale_C = np.zeros(len(filters_CD))
        bias_C = np.zeros(len(filters_CD))
        for label in range(len(filters_CD)):
            scale_C[label], bias_C[label] = scale_and_bias(scores_NC[labels_N != label, label])
        device = filters_CD.device
        scaled_CD = filters_CD * torch.from_numpy(scale_C).float().to(device)[:, None]
        return scaled_CD, torch.from_numpy(bias_C).float()
