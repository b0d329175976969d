"""Finds, outside of a fold, the pattern that some images of a label share: one filter a label.

In each label the search starts at the difference between the label's mean contrast and that of the
other labels, and at the contrasts of single images: some drawn at random, some that fit that
difference best. A start becomes a pattern by turns: the images that fit it best are told from the
label's others, and their mean difference is the next pattern.
Two halves of the images, each for itself, must come to the same pattern; of several starts, the one
counts by whose pattern of one half the images of the other half stand out most from those of other
labels.

Shapes: B images of a batch, M images of a label, D values of local contrast, C classes, S starts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from ray_defense.core.files import write_json
from ray_defense.core.random import permutation, stream
from ray_defense.data.training_set import TrainingSet, open_training_set
from ray_defense.detectors.held_out import samples_outside
from ray_defense.detectors.required_models import NetworkInputs
from ray_defense.execution.protocols import Worker
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.local_contrast import LocalContrast
from ray_defense.models.weights import save_tensors
from ray_defense.scores.enrichment import enrichment
from ray_defense.scores.two_groups import fit_two_groups
from ray_defense.store.artifacts import Artifact
from ray_defense.training.views import to_float

if TYPE_CHECKING:
    from ray_defense.detectors.fixed_pattern import PatternSearch

_BATCH = 500
_HARD_TURNS = 5  # by the share that fits best
_SOFT_TURNS = 8  # by the probability of being one of them
_SETTLED = 0.9999  # the cosine of two patterns that are one
_SHARE_WITHOUT_GROUPS = 0.05  # what counts as fitting best where there are no two groups
_FEWEST_HIGHEST = 5  # images of a half among the highest scores
_TINY = 1e-12
_TO_DEVIATION = 1.4826  # from the median absolute deviation, for a normal law
_PARTS_OF_POOL = 8  # the other labels' images in memory take so many times less than one label's

Halves = tuple[torch.Tensor, torch.Tensor]  # standard contrasts [M, D] of a label


@dataclass(frozen=True)
class Pattern:
    """What some images of a label share."""

    values_D: torch.Tensor  # float32, of any length
    agreement: float  # the cosine of the patterns of both halves
    enrichment: float  # of its images among the highest scores, over other labels' images


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
        self.worker = worker
        self.inputs = inputs
        self.data = self._open(samples_outside(inputs))
        self.contrast = LocalContrast().to(worker.device)
        self.labels = self.data.labels_of_index()
        self.present = np.unique(self.labels)
        self.mean_CD, self.deviation_D = self._measure()
        self.center_D = self.mean_CD[self.present].median(0).values
        order = permutation(self._key("pool"), len(self.labels))
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

    def _open(self, index: np.ndarray) -> TrainingSet:
        directory = self.inputs.suspect.path
        return open_training_set(
            self.worker, directory, self.config.workers.resident_bytes, select=index
        )

    def _contrasts(self, data: TrainingSet) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yields contrasts [B, D] and labels [B], batch by batch."""
        for batch in data.epoch(self._key("order"), min(_BATCH, len(data))):
            images_BCHW = self.inputs.normalization.apply(to_float(batch.images))
            yield self.contrast(images_BCHW), batch.labels

    def _measure(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the mean contrast of each label [C, D], and the deviation of each value [D]."""
        num_classes = self.data.num_classes
        sum_CD = None
        squares_D = None
        for contrast_BD, labels_B in self._contrasts(self.data):
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
        return max(self.config.fewest, self.config.max_bytes // (parts * 4 * len(self.center_D)))

    def _find(self, label: int) -> Pattern | None:
        """Returns the pattern that makes a label stand out most; None for too few images."""
        members = self.data.index[self.labels == label]
        order = permutation(self._key("members", label), len(members))[: self._num_kept(1)]
        if len(order) < self.config.fewest:
            return None
        start_D = (self.mean_CD[label] - self.center_D) / self.deviation_D
        contrasts_MD, _ = self._standard_contrasts(np.sort(members[order]))
        halves = (contrasts_MD[0::2], contrasts_MD[1::2])
        others_ND = self.pool_ND[torch.from_numpy(self.pool_labels_N != label)]
        patterns = []
        for candidate_D in self._candidates(contrasts_MD, start_D, label):
            patterns.append(_agreed(halves, others_ND, candidate_D))
        best = max(patterns, key=_merit)
        unit_D = _follow(contrasts_MD, best.values_D)
        if float(unit_D @ start_D) < 0:  # the other labels have it, and some of this one do not
            unit_D = -unit_D
        return replace(best, values_D=unit_D)

    def _standard_contrasts(self, index: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """Returns the contrasts of samples in deviations from the center, and their labels."""
        parts = []
        labels = []
        for contrast_BD, labels_B in self._contrasts(self._open(index)):
            parts.append((contrast_BD - self.center_D) / self.deviation_D)
            labels.append(labels_B.cpu().numpy())
        return torch.cat(parts), np.concatenate(labels)

    def _candidates(
        self, contrasts_MD: torch.Tensor, start_D: torch.Tensor, label: int
    ) -> list[torch.Tensor]:
        """Returns the starts, and where the most promising of them have led to by hard turns."""
        count = self.config.exemplars
        drawn = permutation(self._key("exemplars", label), len(contrasts_MD))[:count]
        fitting = (contrasts_MD @ start_D).argsort(descending=True, stable=True)[:count]
        chosen = np.union1d(drawn, fitting.cpu().numpy())
        exemplars_SD = contrasts_MD[torch.from_numpy(chosen).to(contrasts_MD.device)]
        starts_SD = _units(torch.cat((start_D[None], exemplars_SD)))
        candidates = [starts_SD[0]]
        for share in self.config.shares:
            turned_SD = _turn_hard(contrasts_MD, starts_SD, share)
            separations = []
            for scores_M in (turned_SD @ contrasts_MD.T).double().cpu().numpy():
                groups = fit_two_groups(scores_M)
                separations.append(-1.0 if groups is None else groups.separation)
            kept = np.argsort(separations, kind="stable")[::-1][: self.config.kept]
            candidates.extend(turned_SD[number] for number in kept.tolist())
        return candidates

    def _standardized(self, filters_CD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns filters and biases that give the other labels' samples median 0, deviation 1."""
        scores = []
        labels = []
        for contrast_BD, labels_B in self._contrasts(self.data):
            scores.append((contrast_BD @ filters_CD.T).cpu())
            labels.append(labels_B.cpu())
        scores_NC = torch.cat(scores).double().numpy()
        labels_N = torch.cat(labels).numpy()
        scale_C = np.zeros(len(filters_CD))
        bias_C = np.zeros(len(filters_CD))
        for label in range(len(filters_CD)):
            others = scores_NC[labels_N != label, label]
            if not len(others):
                continue
            median = np.median(others)
            deviation = _TO_DEVIATION * np.median(np.abs(others - median))
            if deviation > _TINY:
                scale_C[label] = 1 / deviation
                bias_C[label] = -median / deviation
        device = filters_CD.device
        scaled_CD = filters_CD * torch.from_numpy(scale_C).float().to(device)[:, None]
        return scaled_CD, torch.from_numpy(bias_C).float()

    def _key(self, *names: str | int) -> int:
        return stream(self.inputs.seed, self.inputs.networks.name, self.inputs.fold, *names)


def _units(vectors_SD: torch.Tensor) -> torch.Tensor:
    units_SD: torch.Tensor = vectors_SD / (vectors_SD.norm(dim=1, keepdim=True) + _TINY)
    return units_SD


def _turn_hard(contrasts_MD: torch.Tensor, starts_SD: torch.Tensor, share: float) -> torch.Tensor:
    """Returns where starts lead to if a share of the images is taken to have the pattern."""
    count = min(len(contrasts_MD), max(_FEWEST_HIGHEST, int(share * len(contrasts_MD))))
    mean_D = contrasts_MD.mean(0)
    for _ in range(_HARD_TURNS):
        scores_MS = contrasts_MD @ starts_SD.T
        highest = scores_MS.topk(count, dim=0).indices
        is_highest_MS = torch.zeros_like(scores_MS).scatter_(0, highest, 1.0)
        starts_SD = _units(is_highest_MS.T @ contrasts_MD / count - mean_D)
    return starts_SD


def _follow(contrasts_MD: torch.Tensor, start_D: torch.Tensor) -> torch.Tensor:
    """Returns the pattern that a start leads to by soft turns."""
    unit_D = _units(start_D[None])[0]
    for _ in range(_SOFT_TURNS):
        scores_M = (contrasts_MD @ unit_D).double().cpu().numpy()
        groups = fit_two_groups(scores_M)
        if groups is None:
            upper_M = (scores_M > np.quantile(scores_M, 1 - _SHARE_WITHOUT_GROUPS)).astype(float)
        else:
            upper_M = groups.posteriors_M
        weights_M = torch.from_numpy(upper_M).float().to(contrasts_MD.device)
        above_D = weights_M @ contrasts_MD / weights_M.sum().clamp(min=_TINY)
        below_D = (1 - weights_M) @ contrasts_MD / (1 - weights_M).sum().clamp(min=_TINY)
        before_D = unit_D
        unit_D = _units((above_D - below_D)[None])[0]
        if float(unit_D @ before_D) > _SETTLED:
            break
    return unit_D


def _agreed(halves: Halves, others_ND: torch.Tensor, start_D: torch.Tensor) -> Pattern:
    """Returns what a start leads to in both halves."""
    units = [_follow(half_MD, start_D) for half_MD in halves]
    enrichments = []
    for unit_D, half_MD in zip(units, reversed(halves), strict=True):
        own_M = (half_MD @ unit_D).double().cpu().numpy()
        others_N = (others_ND @ unit_D).double().cpu().numpy()
        enrichments.append(enrichment(own_M, others_N, _FEWEST_HIGHEST))
    return Pattern(units[0] + units[1], float(units[0] @ units[1]), min(enrichments))


def _merit(pattern: Pattern) -> float:
    return pattern.enrichment * max(pattern.agreement, 0.0)
