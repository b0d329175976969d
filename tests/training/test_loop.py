"""The epoch loop: it resumes to the bit, keeps nothing broken, and tells how far it is."""

import math
from dataclasses import replace

import pytest
import torch

from ray_defense.core.errors import InputError, RunError
from ray_defense.core.progress import ProgressEvent, listening
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
