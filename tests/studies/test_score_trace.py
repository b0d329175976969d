"""The trace of scores over the epochs of a probe, its metrics, and what the truth says of it."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from ray_defense.core.errors import InputError, RunError
from ray_defense.core.files import read_json
from ray_defense.detectors import sample_batch
from ray_defense.detectors.decision.fractions import Fractions
from ray_defense.detectors.fct import Fct
from ray_defense.detectors.probe import kept_epochs
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import BlockJob
from ray_defense.execution.steps import Step
from ray_defense.models.seeded import build_model
from ray_defense.models.weights import load_model, save_weights
from ray_defense.scores.label_free import effective_rank, separation
from ray_defense.stages.context import PlanContext
from ray_defense.stages.detect import DetectConfig, detect_step
from ray_defense.stages.evaluation import judge_trace
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.store.truth import unseal
from ray_defense.studies import score_trace
from ray_defense.studies.score_trace import draw_samples, trace_step
from tests.support.judge_loop import judge_loop
from tests.support.label_free_loops import label_free_loops
from tests.support.noise import read_all
from tests.support.steps import CPU, make_step, plan_context, publish_step
from tests.support.traced_probe import LAST_EPOCH, PoisonedDigits, poison_digits

FRACTIONS = Fractions(0.2, 0.1)
NUM_TRUSTED = 51  # of 256
NUM_FLAGGED = 25


@dataclass(frozen=True)
class Traced:
    """A poisoned dataset, a probe that kept its epochs, and its trace."""

    data: PoisonedDigits
    probe: Step
    trace: Artifact

    def plan(
        self,
        context: PlanContext,
        detect: DetectConfig | None = None,
        probe: Step | None = None,
    ) -> Step:
        """Returns the step of a trace of the dataset, with what differs from this one."""
        return trace_step(
            detect or self.data.detect,
            FRACTIONS,
            self.data.suspect,
            probe=probe or self.probe,
            model=self.data.config.model,
            context=context,
        )

    def evidence(self, detect: DetectConfig, probe: Step) -> np.ndarray:
        """Returns the scores that a probe gives as evidence."""
        context = self.data.context
        step = detect_step(
            detect, self.data.suspect, probe, model=self.data.config.model, context=context
        )
        table = pq.read_table(make_step(step, context).path / "evidence.parquet")
        return table["fct"].to_numpy()

    def in_store(self, root: Path) -> PlanContext:
        return replace(self.data.context, store=Store(root))


@pytest.fixture(scope="module")
def traced(digits, tmp_path_factory) -> Traced:
    data = poison_digits(digits, tmp_path_factory.mktemp("trace"))
    probe = data.probe_that_kept_epochs()
    step = trace_step(
        data.detect,
        FRACTIONS,
        data.suspect,
        probe=probe,
        model=data.config.model,
        context=data.context,
    )
    return Traced(data, probe, make_step(step, data.context))


@pytest.fixture(scope="module")
def plain_probes(traced) -> list[Step]:
    return traced.data.probes_that_kept_none()


def scores_by_epoch(trace: Artifact) -> dict[int, np.ndarray]:
    table = pq.read_table(trace.path / "scores.parquet")
    epochs = table["epoch"].to_numpy()
    scores = table["score"].to_numpy()
    return {int(epoch): scores[epochs == epoch] for epoch in np.unique(epochs)}


def test_a_probe_without_epochs_is_refused_with_the_remedy(traced, plain_probes):
    context = traced.data.context
    step = traced.plan(context, probe=plain_probes[LAST_EPOCH])
    message = "kept no epochs: train it with --set probe.keep_epochs=true"
    with pytest.raises(InputError, match=message):
        make_step(step, context)


def test_the_scores_of_every_epoch_are_those_of_the_evidence_to_the_bit(traced, plain_probes):
    by_epoch = scores_by_epoch(traced.trace)
    assert list(by_epoch) == [0, 1, 2]
    table = pq.read_table(traced.trace.path / "scores.parquet")
    assert table["index"].to_pylist() == traced.data.dataset.index.tolist() * 3
    detect = traced.data.detect
    for probe, scores in zip(plain_probes, by_epoch.values(), strict=True):
        assert traced.evidence(detect, probe).tobytes() == scores.tobytes()
    of_kept = traced.evidence(detect, traced.probe)
    assert of_kept.tobytes() == by_epoch[LAST_EPOCH].tobytes()
    assert len({scores.tobytes() for scores in by_epoch.values()}) == 3


def test_many_draws_give_the_scores_of_the_evidence_too(traced):
    detect = replace(traced.data.detect, detectors=(Fct(draws=3, reduce=0.0),))
    context = traced.data.context
    trace = make_step(traced.plan(context, detect), context)
    expected = traced.evidence(detect, traced.probe)
    assert scores_by_epoch(trace)[LAST_EPOCH].tobytes() == expected.tobytes()


@pytest.mark.parametrize("block_size", [25, 1000])
def test_a_trace_has_the_same_bytes_whatever_the_blocks(traced, block_size, tmp_path):
    context = traced.in_store(tmp_path)
    detect = replace(traced.data.detect, block_size=block_size)
    trace = make_step(traced.plan(context, detect), context)
    assert trace.key != traced.trace.key
    assert trace.hashes == traced.trace.hashes


class KilledOnce(LocalExecutor):
    """Counts the missing blocks of each call, and is killed after two blocks of the first."""

    def __init__(self):
        super().__init__("numpy", CPU)
        self.num_missing = []

    def run_blocks(self, job: BlockJob) -> None:
        self.num_missing.append(len(job.missing_blocks()))
        if len(self.num_missing) == 1:
            super().run_blocks(replace(job, blocks=job.blocks[:2]))
            raise KeyboardInterrupt
        super().run_blocks(job)


def test_a_killed_trace_resumes_at_the_missing_blocks(traced, tmp_path):
    context = traced.in_store(tmp_path)
    executor = KilledOnce()
    step = traced.plan(context)
    with pytest.raises(KeyboardInterrupt):
        make_step(step, context, executor)
    resumed = make_step(step, context, executor)
    assert executor.num_missing == [6, 4]
    assert resumed.hashes == traced.trace.hashes
    assert make_step(step, context, executor) == resumed
    assert len(executor.num_missing) == 2


def test_every_image_is_transformed_once_for_all_epochs(traced, tmp_path, monkeypatch):
    transformed = []
    apply_all = sample_batch.apply_all

    def apply_and_record(transforms, images, key, index):
        transformed.extend(index)
        return apply_all(transforms, images, key, index)

    monkeypatch.setattr(sample_batch, "apply_all", apply_and_record)
    context = traced.in_store(tmp_path)
    make_step(traced.plan(context), context)
    assert sorted(transformed) == traced.data.dataset.index.tolist()


def test_an_epoch_that_diverged_is_named(traced, tmp_path):
    context = traced.in_store(tmp_path)

    def fill(directory: Path) -> None:
        (directory / "epochs").mkdir()
        model = build_model(traced.data.config.model, 10, 0)
        save_weights(directory / "epochs" / "00.safetensors", model)
        next(model.parameters()).data.fill_(3e38)  # features overflow
        save_weights(directory / "epochs" / "01.safetensors", model)

    diverged = publish_step(context, "probe", fill)
    message = "256 scores are not finite after epoch 1 of L_intra: the probe diverged"
    with pytest.raises(RunError, match=message):
        make_step(traced.plan(context, probe=diverged), context)


def model_metrics_by_loops(
    features: torch.Tensor, logits: torch.Tensor, labels: list[int]
) -> dict[str, float]:
    """Returns the metrics of a model over samples of ten classes, sums as loops."""
    num_samples = len(labels)
    centers = []
    for label in range(10):
        members = [features[i].double().numpy() for i in range(num_samples) if labels[i] == label]
        centers.append(np.mean(members, axis=0))
    cosines = []
    for first in range(10):
        for second in range(10):
            if first != second:
                norms = np.linalg.norm(centers[first]) * np.linalg.norm(centers[second])
                cosines.append(centers[first] @ centers[second] / norms)
    num_right = 0
    for row, label in zip(logits, labels, strict=True):
        num_right += int(row.argmax()) == label
    return {
        "effective_rank": effective_rank(features),
        "feature_norm": math.fsum(math.hypot(*row) for row in features.tolist()) / num_samples,
        "train_accuracy": num_right / num_samples,
        "class_similarity": math.fsum(cosines) / 100,
    }


def test_the_metrics_of_every_epoch_are_of_its_own_model_and_samples(traced):
    dataset, images = read_all(traced.data.suspect.artifact)
    normalized = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    labels = dataset.labels.tolist()
    metrics = read_json(traced.trace.path / "metrics.json")
    scores = scores_by_epoch(traced.trace)
    assert [of_epoch["epoch"] for of_epoch in metrics] == [0, 1, 2]
    for of_epoch, (epoch, path) in zip(
        metrics, kept_epochs(traced.probe.artifact).items(), strict=True
    ):
        model = load_model(path, traced.data.config.model, 10).eval()
        with torch.no_grad():
            features, logits = model(normalized)
        of_scores = label_free_loops(
            scores[epoch].tolist(), labels, num_trusted=NUM_TRUSTED, num_flagged=NUM_FLAGGED
        )
        expected = {
            **of_scores,
            **model_metrics_by_loops(features, logits, labels),
            "epoch": epoch,
            "separated_share": separation(scores[epoch])[1],
        }
        assert of_epoch == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_the_drawn_samples_depend_on_seed_and_index_alone():
    index = np.arange(0, 500, 2)
    few = draw_samples(index, 20, 3)
    more = draw_samples(index, 60, 3)
    assert len(few) == 20
    assert set(few) < set(more) < set(index.tolist())
    assert (np.diff(few) > 0).all()
    of_first_hundred = set(draw_samples(index[:100], 20, 3))
    assert of_first_hundred >= set(few) & set(index[:100].tolist())
    assert set(few) != set(draw_samples(index, 20, 4))
    assert np.array_equal(draw_samples(index, 1000, 3), index)


def test_the_metrics_of_a_model_are_those_of_the_drawn_samples(traced, tmp_path, monkeypatch):
    # Most blocks of 50 hold none of three drawn samples.
    monkeypatch.setattr(score_trace, "NUM_DRAWN", 3)
    context = traced.in_store(tmp_path)
    trace = make_step(traced.plan(context), context)
    assert trace.hashes["scores.parquet"] == traced.trace.hashes["scores.parquet"]
    for of_epoch in read_json(trace.path / "metrics.json"):
        num_right = 3 * of_epoch["train_accuracy"]
        assert num_right == pytest.approx(round(num_right))
        assert of_epoch["effective_rank"] <= 2.0001  # of three points


def test_a_trace_needs_no_truth(traced, tmp_path):
    context = plan_context(tmp_path)
    assert not (tmp_path / "truth").exists()
    trace = make_step(traced.plan(context), context)
    assert trace.hashes == traced.trace.hashes
    with pytest.raises(InputError, match="no sealed truth"):
        judge_trace(trace, traced.data.suspect.artifact, FRACTIONS, context.store)


def judge(traced: Traced, suspect: Artifact) -> list[dict[str, Any]]:
    return judge_trace(traced.trace, suspect, FRACTIONS, traced.data.context.store)


def test_the_judge_says_of_every_epoch_what_loops_over_the_truth_say(traced):
    suspect = traced.data.suspect.artifact
    poisoned = unseal(traced.data.context.store, suspect.key).poisoned.tolist()
    judged = judge(traced, suspect)
    assert [of_epoch["epoch"] for of_epoch in judged] == [0, 1, 2]
    for of_epoch, scores in zip(judged, scores_by_epoch(traced.trace).values(), strict=True):
        expected = judge_loop(scores.tolist(), poisoned, NUM_TRUSTED, NUM_FLAGGED)
        assert of_epoch == pytest.approx({**expected, "epoch": of_epoch["epoch"]})


def test_a_trace_of_another_dataset_is_refused(traced):
    suspect = traced.data.suspect.artifact
    other = replace(suspect, key="0" * 16)
    message = f"is of the dataset {suspect.key}, not of {'0' * 16}"
    with pytest.raises(InputError, match=message):
        judge(traced, other)
