"""The epoch loop: it resumes to the bit, keeps nothing broken, and tells how far it is."""

import math
from dataclasses import replace

import pytest
import torch

from ray_defense.core.errors import InputError, RunError
from ray_defense.core.progress import ProgressEvent, listening
from ray_defense.training import loop
from ray_defense.training.loop import RunningMean, run_epochs
from tests.support.model_inputs import have_equal_weights
from tests.support.small_training import SmallTraining, make_net, make_worker


@pytest.mark.parametrize("stop_in", [0, 1, 3, 5])
def test_a_run_killed_in_the_middle_of_an_epoch_resumes_to_the_same_bits(tmp_path, stop_in):
    whole = SmallTraining(tmp_path / "whole").run()
    with pytest.raises(KeyboardInterrupt):
        SmallTraining(tmp_path / "killed", stop_in).run()
    resumed = SmallTraining(tmp_path / "killed")
    assert have_equal_weights(resumed.run(), whole)
    assert resumed.finished_epochs == list(range(stop_in, 6))
    assert not have_equal_weights(whole, make_net())


def test_a_finished_run_is_not_trained_further(tmp_path):
    whole = SmallTraining(tmp_path).run()
    again = SmallTraining(tmp_path)
    assert have_equal_weights(again.run(), whole)
    assert again.finished_epochs == []


def test_row_fault_05_a_metric_that_is_no_number_fails_and_leaves_the_checkpoint_before_it(
    tmp_path,
):
    message = r"epoch 3 of 6 gave \{'loss': nan\}: lower the learning rate"
    with pytest.raises(RunError, match=message):
        SmallTraining(tmp_path, nan_in=2).run()
    assert len(make_worker(tmp_path).load()["history"]) == 2
    whole = SmallTraining(tmp_path / "whole").run()
    assert have_equal_weights(SmallTraining(tmp_path).run(), whole)


def test_an_infinite_loss_is_a_broken_metric(tmp_path):
    """Row 5 of the faults: it stops the training, and the last good checkpoint stays."""
    epochs = [lambda: {"loss": math.inf, "accuracy": 1.0}]
    with pytest.raises(RunError, match="inf"):
        run_epochs(make_worker(tmp_path), {}, epochs)
    assert make_worker(tmp_path).load() is None


@pytest.mark.parametrize(
    ("num_values", "seconds_an_epoch", "checkpointed"),
    [
        (1_000_000, 1.0, [1, 2, 3, 4, 5]),  # 8 MB with the momentum: small
        (1_100_000, 1.0, [5]),
        (1_100_000, 25.0, [3, 5]),
        (1_100_000, 70.0, [1, 2, 3, 4, 5]),
    ],
)
def test_a_large_checkpoint_is_written_once_a_minute_and_at_the_end(
    tmp_path, monkeypatch, num_values, seconds_an_epoch, checkpointed
):
    now_s = [100.0]
    monkeypatch.setattr(loop.time, "monotonic", lambda: now_s[0])
    parts = {"first": Fixed(num_values), "second": Fixed(num_values)}
    worker = make_worker(tmp_path)
    saved = []
    monkeypatch.setattr(worker, "save", lambda state: saved.append(len(state["history"])))

    def run_epoch():
        now_s[0] += seconds_an_epoch
        return {"loss": 1.0}

    run_epochs(worker, parts, [run_epoch] * 5)
    assert saved == checkpointed


def test_a_large_model_that_is_killed_resumes_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SMALL_CHECKPOINT_BYTES", 0)
    whole = SmallTraining(tmp_path / "whole").run()
    with pytest.raises(KeyboardInterrupt):
        SmallTraining(tmp_path / "killed", 3).run()
    assert make_worker(tmp_path / "killed").load() is None
    resumed = SmallTraining(tmp_path / "killed")
    assert have_equal_weights(resumed.run(), whole)
    assert resumed.finished_epochs == list(range(6))


class Fixed:
    """A part of a training with so many float32 values, which no epoch changes."""

    def __init__(self, num_values):
        self.values = torch.zeros(num_values)

    def state_dict(self):
        return {"groups": [{"values": self.values, "name": "fixed"}]}

    def load_state_dict(self, state_dict):
        raise AssertionError("nothing is resumed here")


def test_progress_is_reported_after_every_epoch(tmp_path):
    events = []
    with listening(events.append):
        SmallTraining(tmp_path).run()
    without_metrics = [replace(event, metrics={}) for event in events]
    assert without_metrics == [ProgressEvent("probe", num_done, 6) for num_done in range(1, 7)]
    assert all(set(event.metrics) == {"loss", "accuracy"} for event in events)


def test_a_checkpoint_of_another_kind_of_device_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        SmallTraining(tmp_path, stop_in=1).run()
    worker = make_worker(tmp_path)
    worker.save({**worker.load(), "device": "cuda"})
    with pytest.raises(InputError, match="was made on cuda and this is cpu"):
        SmallTraining(tmp_path).run()


def test_a_mean_is_over_samples_not_batches_and_zero_without_any(tmp_path):
    mean = RunningMean(make_worker(tmp_path))
    assert mean.value() == 0.0
    mean.add(torch.tensor(3.0), 3)
    mean.add(torch.tensor(10.0), 1)
    assert mean.value() == 13 / 4
