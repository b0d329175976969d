"""The connection to Ray: importing changes nothing; what connecting needs is set as it connects."""

import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from ray_defense.cluster.session import (
    OPEN_RAY,
    SETTINGS,
    connect,
    is_submitted_job,
    prepare_environment,
    token_file,
)
from ray_defense.core.errors import InputError, RunError

ROOT = Path(__file__).resolve().parents[2]

# What others' packages set by themselves as they are imported is no concern of ours.
OTHERS = ["ray.data", "ray.train.torch", "ray.tune", "torchvision.models"]

# Imports others' packages, then the modules that the command line names, and prints what the
# second changed of the environment.
IMPORT_MODULES = f"""
import importlib, json, os, sys
for name in {OTHERS!r}:
    importlib.import_module(name)
before = dict(os.environ)
for name in sys.argv[1:]:
    importlib.import_module(name)
changed = {{}}
for name in before.keys() | os.environ.keys():
    if before.get(name) != os.environ.get(name):
        changed[name] = os.environ.get(name)
print(json.dumps(changed))
"""


def module_names() -> list[str]:
    """Returns the modules of ray_defense, but for the one that runs the command line."""
    names = []
    for path in sorted((ROOT / "ray_defense").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if parts[-1] != "__main__":
            names.append(".".join(parts))
    return names


def import_in_process(home: Path, names: list[str]) -> "subprocess.CompletedProcess[str]":
    """Imports modules in a process of its own, at home in a folder."""
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", IMPORT_MODULES, *names],
        cwd=home.parent,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_importing_every_module_changes_no_variable_writes_nothing_at_home_and_prints_nothing(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    names = module_names()
    assert len(names) > 150
    finished = import_in_process(home, names)
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout) == {}
    assert finished.stderr == ""
    assert list(home.iterdir()) == []


@pytest.fixture
def clean_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The environment of a user at home in the folder, in a process that has not imported ray."""
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    with mock.patch.dict(os.environ, {"HOME": str(tmp_path)}, clear=True):
        yield tmp_path


def variables() -> dict[str, str]:
    """Returns the environment without what pytest itself sets in it."""
    plain = dict(os.environ)
    plain.pop("PYTEST_CURRENT_TEST", None)
    return plain


def test_preparing_sets_what_ray_reads_and_makes_a_token_that_its_owner_alone_reads(
    clean_variables: Path,
) -> None:
    prepare_environment()
    token = clean_variables / ".local" / "state" / "ray_defense" / "ray-token"
    assert variables() == {
        **SETTINGS,
        "HOME": str(clean_variables),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
    }
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert len(bytes.fromhex(token.read_text())) == 32


def test_a_token_is_made_once(clean_variables: Path) -> None:
    path = token_file()
    token = path.read_text()
    assert token_file() == path
    assert path.read_text() == token


def test_what_the_user_has_set_stays(clean_variables: Path) -> None:
    own = {
        "RAY_USAGE_STATS_ENABLED": "1",
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "7",
        "RAY_AUTH_MODE": "disabled",
        "XDG_STATE_HOME": str(clean_variables / "state"),
    }
    os.environ.update(own)
    prepare_environment()
    for name, value in own.items():
        assert os.environ[name] == value
    assert os.environ["RAY_AUTH_TOKEN_PATH"].startswith(own["XDG_STATE_HOME"])


@pytest.mark.parametrize("name", ["RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"])
def test_no_token_is_made_where_the_user_names_one_or_a_cluster(
    clean_variables: Path, name: str
) -> None:
    os.environ[name] = "theirs"
    prepare_environment()
    assert os.environ[name] == "theirs"
    assert not (clean_variables / ".local").exists()


def test_a_ray_that_is_imported_already_keeps_its_own_way_with_tokens(
    clean_variables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace())
    prepare_environment()
    assert variables() == {**SETTINGS, "HOME": str(clean_variables)}


class FakeRay(SimpleNamespace):
    """A module `ray` that notes how it is started.

    Attributes:
        is_up: Whether it counts as started.
        started: The arguments of `init`, one entry a call.
        folders: The current directory at each call of `init`.
        environments: The environment at each call of `init`.
        error: What `init` raises, if anything.
    """

    def __init__(self, is_up: bool = False):
        super().__init__()
        self.is_up = is_up
        self.started: list[dict[str, Any]] = []
        self.folders: list[Path] = []
        self.environments: list[dict[str, str]] = []
        self.error: Exception | None = None
        self.job_config = SimpleNamespace(JobConfig=SimpleNamespace)

    @property
    def folders_for_workers(self) -> list[str]:
        """Where workers import from beside their own folders."""
        (arguments,) = self.started
        folders: list[str] = arguments["job_config"]._py_driver_sys_path
        return folders

    def is_initialized(self) -> bool:
        return self.is_up

    def init(self, **arguments: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as ray.init replaces it
        self.started.append(arguments)
        self.folders.append(Path.cwd())
        self.environments.append(dict(os.environ))
        if self.error is not None:
            raise self.error


@pytest.fixture
def fake_ray(clean_variables: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    ray = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", ray)
    return ray


def test_connecting_starts_a_ray_of_this_machine_and_attaches_to_no_other(
    fake_ray: FakeRay,
) -> None:
    assert connect()
    (arguments,) = fake_ray.started
    assert arguments["address"] == "local"
    assert arguments["runtime_env"] is None


def test_connecting_to_a_cluster_passes_on_what_its_workers_need(
    fake_ray: FakeRay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    os.environ.update({"RAY_ADDRESS": "10.0.0.1:6379", "RAY_DEFENSE_DATA": "data", "OTHER": "1"})
    os.environ["PYTHONPATH"] = ":/code"  # an empty word means the current directory
    assert connect()
    (arguments,) = fake_ray.started
    assert arguments["address"] == "10.0.0.1:6379"
    # Workers run in other directories.
    passed_on = {
        "RAY_DEFENSE_DATA": str(tmp_path / "data"),
        "PYTHONPATH": "/code",
        "PYTHONSAFEPATH": "1",
    }
    assert arguments["runtime_env"] == {"env_vars": passed_on}


def test_a_ray_that_is_up_is_joined_and_is_not_ours_to_shut_down(fake_ray: FakeRay) -> None:
    fake_ray.is_up = True
    assert not connect()
    assert fake_ray.started == []


def test_connecting_keeps_the_handlers_of_signals(fake_ray: FakeRay) -> None:
    def terminate(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        connect()
        assert signal.getsignal(signal.SIGTERM) is terminate
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ray_starts_in_an_empty_directory_and_its_pythons_leave_the_current_one_out(
    fake_ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory of the driver may hold hostile data, such as a `torch.py`."""
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.chdir(data)
    os.environ.update({"PYTHONPATH": "code::", "RAY_TMPDIR": "short"})
    assert connect()
    (folder,) = fake_ray.folders
    (environment,) = fake_ray.environments
    assert folder != data
    assert list(folder.iterdir()) == []
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert environment["PYTHONSAFEPATH"] == "1"
    assert environment["PYTHONPATH"] == str(data / "code")
    assert environment["RAY_TMPDIR"] == str(data / "short")
    assert Path.cwd() == data
    assert "PYTHONSAFEPATH" not in os.environ
    assert os.environ["PYTHONPATH"] == "code::"


@pytest.mark.parametrize("word", ["", "absolute"])
def test_workers_import_from_the_current_directory_only_where_the_driver_does(
    fake_ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/scripts/of/nobody.py"])
    monkeypatch.setattr(sys, "path", [str(ROOT)])
    assert connect()
    assert fake_ray.folders_for_workers == []
    fake_ray.started.clear()
    monkeypatch.setattr(sys, "path", [word and str(tmp_path), str(ROOT)])
    assert connect()
    assert fake_ray.folders_for_workers == [str(tmp_path)]


def test_workers_import_from_the_folder_of_a_script_that_is_named_by_a_relative_path(
    fake_ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["scripts/own.py"])
    monkeypatch.setattr(sys, "path", [str(scripts)])
    assert connect()
    assert fake_ray.folders_for_workers == [str(scripts)]


def test_workers_of_a_submitted_job_import_from_the_code_that_came_with_it(
    fake_ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_submitted_job()
    description = {"runtime_env": {"working_dir": "gcs://package.zip"}}
    os.environ["RAY_JOB_CONFIG_JSON_ENV_VAR"] = json.dumps(description)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert is_submitted_job()
    assert connect()
    assert fake_ray.folders_for_workers == []


@pytest.mark.parametrize("address", [None, "", "local"])
@pytest.mark.parametrize("mode", ["disabled", "Disabled", "off"])
def test_row_fault_08_a_ray_without_a_token_is_not_started(
    fake_ray: FakeRay, address: str | None, mode: str
) -> None:
    """Row 8 of the faults: a head without a token, which listens on all interfaces."""
    os.environ["RAY_AUTH_MODE"] = mode
    if address is not None:
        os.environ["RAY_ADDRESS"] = address
    with pytest.raises(InputError, match=f"RAY_AUTH_MODE is '{mode}': .*{OPEN_RAY}=1"):
        connect()
    assert fake_ray.started == []


def test_a_ray_without_a_token_is_started_or_joined_where_that_is_asked_in_so_many_words(
    fake_ray: FakeRay,
) -> None:
    """Row 8 of the faults: the wish has a variable of its own, or the cluster is the user's."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ[OPEN_RAY] = "1"
    assert connect()
    del os.environ[OPEN_RAY]
    os.environ["RAY_ADDRESS"] = "10.0.0.1:6379"
    assert connect()
    assert [arguments["address"] for arguments in fake_ray.started] == ["local", "10.0.0.1:6379"]


def test_a_ray_that_cannot_start_is_one_line_with_what_to_do(fake_ray: FakeRay) -> None:
    fake_ray.error = OSError(28, "No space left on device", "/tmp/ray")
    with pytest.raises(RunError, match="cannot be started here .*No space left.*RAY_TMPDIR"):
        connect()
    fake_ray.error = ConnectionError("no answer\nat all")
    os.environ["RAY_ADDRESS"] = "10.0.0.1:6379"
    with pytest.raises(RunError, match=r"join the cluster at 10.0.0.1:6379 \(no answer\): check"):
        connect()


@pytest.mark.parametrize("name", ["HOME", "XDG_STATE_HOME"])
def test_a_token_that_can_be_kept_nowhere_is_refused_with_what_to_do(
    clean_variables: Path, name: str
) -> None:
    file = clean_variables / "file"
    file.touch()
    os.environ[name] = str(file)
    with pytest.raises(InputError, match="Not a directory.*set XDG_STATE_HOME to a folder"):
        prepare_environment()


def test_a_user_without_a_home_is_told_what_to_set(
    clean_variables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # no such user is known
    with pytest.raises(InputError, match="determine home directory.*set XDG_STATE_HOME"):
        token_file()


def test_a_ray_that_has_no_room_for_its_files_is_refused_at_once(
    fake_ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 4 of the faults, a full disk, here the one of Ray's own folder."""
    os.environ["RAY_TMPDIR"] = str(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1 << 20))
    with pytest.raises(InputError, match="has 1 MiB free and must have 20: make room"):
        connect()
    assert fake_ray.started == []


def test_a_ray_whose_files_may_not_be_as_long_as_its_memory_is_refused_at_once(
    fake_ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda limit: (100 << 20, 100 << 20))
    with pytest.raises(InputError, match="size of files is 100 MiB.*ulimit -f unlimited"):
        connect()
    assert fake_ray.started == []
