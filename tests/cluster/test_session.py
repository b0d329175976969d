"""The connection to Ray: importing changes nothing; what connecting needs is set as it connects."""

import json
import os
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
    SETTINGS,
    connect,
    prepare_environment,
    token_file,
)

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
    """

    def __init__(self, is_up: bool = False):
        super().__init__()
        self.is_up = is_up
        self.started: list[dict[str, Any]] = []

    def is_initialized(self) -> bool:
        return self.is_up

    def init(self, **arguments: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as ray.init replaces it
        self.started.append(arguments)


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
    os.environ["PYTHONPATH"] = "/code"
    assert connect()
    (arguments,) = fake_ray.started
    assert arguments["address"] == "10.0.0.1:6379"
    # Workers run in other directories.
    passed_on = {"RAY_DEFENSE_DATA": str(tmp_path / "data"), "PYTHONPATH": "/code"}
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
