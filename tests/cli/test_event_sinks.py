"""Events go to a file, to TensorBoard, or to MLflow; what is missing is named with its remedy."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ray_defense.cli.event_sinks import EXPERIMENT, sending_events
from ray_defense.core.errors import InputError
from ray_defense.core.progress import ProgressEvent, listening, report_progress


def report_training() -> None:
    report_progress("probe", 0, 2)
    report_progress("probe", 1, 2, metrics={"loss": 0.5})
    report_progress("nodes", 0, 4, note="waiting")
    report_progress("nodes", 0, 4, note="still waiting")
    report_progress("probe", 2, 2, metrics={"loss": 0.25, "accuracy": 1.0})


SCALARS = [
    ("probe/done", 0.0, 0),
    ("probe/done", 0.5, 1),
    ("probe/loss", 0.5, 1),
    ("nodes/done", 0.0, 0),
    ("probe/done", 1.0, 2),
    ("probe/loss", 0.25, 2),
    ("probe/accuracy", 1.0, 2),
]


def test_a_name_without_a_kind_is_a_file_of_json_lines(tmp_path: Path) -> None:
    with sending_events(str(tmp_path / "mlflow:")):
        report_training()
    lines = (tmp_path / "mlflow:").read_text().splitlines()
    assert len(lines) == 5
    assert '"metrics": {"loss": 0.5}' in lines[1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_back_what_was_reported_and_the_terminal_hears_it_too(
    tmp_path: Path,
) -> None:
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    heard: list[ProgressEvent] = []
    with listening(heard.append), sending_events(f"tensorboard:{tmp_path / 'board'}"):
        report_training()
    assert len(heard) == 5
    (file,) = (tmp_path / "board").iterdir()
    data = file.read_bytes()
    scalars = []
    while data:  # a length of 8 bytes, its checksum of 4, the event, its checksum of 4
        size = int.from_bytes(data[:8], "little")
        event = event_pb2.Event.FromString(data[12 : 12 + size])
        scalars += [(value.tag, value.simple_value, event.step) for value in event.summary.value]
        data = data[16 + size :]
    assert scalars == SCALARS


class Recorder:
    """Stands for the client of MLflow and keeps what it is told."""

    calls: list[tuple[Any, ...]] = []
    fails = False

    def __init__(self, tracking_uri: str) -> None:
        Recorder.calls = [("uri", tracking_uri)]

    def get_experiment_by_name(self, name: str) -> None:
        if Recorder.fails:
            raise StubError("no server")

    def create_experiment(self, name: str) -> str:
        self.calls.append(("experiment", name))
        return "7"

    def create_run(self, experiment_id: str) -> Any:
        return SimpleNamespace(info=SimpleNamespace(run_id=f"run-of-{experiment_id}"))

    def log_metric(self, run_id: str, name: str, value: float, step: int) -> None:
        self.calls.append((run_id, name, value, step))

    def set_terminated(self, run_id: str, status: str) -> None:
        self.calls.append((run_id, status))


class StubError(Exception):
    pass


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    module: Any = ModuleType("mlflow")
    module.MlflowClient = Recorder
    exceptions: Any = ModuleType("mlflow.exceptions")
    exceptions.MlflowException = StubError
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", exceptions)
    monkeypatch.setattr(Recorder, "fails", False)
    return Recorder


def test_mlflow_gets_one_run_with_the_metrics_of_each_epoch(
    mlflow: type[Recorder], tmp_path: Path
) -> None:
    with sending_events(f"mlflow:{tmp_path / 'runs'}"):
        report_training()
    expected = [("run-of-7", *scalar) for scalar in SCALARS]
    assert mlflow.calls == [
        ("uri", f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"),
        ("experiment", EXPERIMENT),
        *expected,
        ("run-of-7", "FINISHED"),
    ]


def test_a_run_that_fails_is_failed_in_mlflow(mlflow: type[Recorder]) -> None:
    with pytest.raises(ZeroDivisionError), sending_events("mlflow:http://somewhere"):
        report_progress("a task: <odd>", 1 // 0, 1)
    assert mlflow.calls[0] == ("uri", "http://somewhere")
    assert mlflow.calls[-1] == ("run-of-7", "FAILED")


def test_names_of_tasks_become_keys_that_mlflow_takes(mlflow: type[Recorder]) -> None:
    with sending_events("mlflow:http://somewhere"):
        report_progress("a task: <odd>", 1, 1)
    assert mlflow.calls[2][1] == "a task_ _odd_/done"


def test_a_server_that_does_not_answer_is_refused(
    mlflow: type[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow, "fails", True)
    with pytest.raises(InputError, match="see that its server is up"):
        with sending_events("mlflow:http://somewhere"):
            pytest.fail("it began")


@pytest.mark.parametrize(
    ("target", "package"), [("tensorboard:x", "tensorboardX"), ("mlflow:x", "mlflow")]
)
def test_an_extra_that_is_not_installed_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch, target: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    extra = target.partition(":")[0]
    with pytest.raises(InputError, match=rf"pip install 'ray_defense\[{extra}\]'"):
        with sending_events(target):
            pytest.fail("it began")
