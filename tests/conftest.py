"""What tests share: reproducible examples without a deadline, and a folder of small data."""

from pathlib import Path

import pytest
from hypothesis import settings

from ray_defense.cluster.session import prepare_environment

CHAOS = pytest.StashKey[list[str]]()  # tables of the fault tests

settings.register_profile("ray_defense", deadline=None, derandomize=True)  # machines may be slow
settings.load_profile("ray_defense")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 256 training and 64 test digits, as Parquet."""
    from tests.support import tiny  # loads pyarrow, which many tests do without

    folder = tmp_path_factory.mktemp("digits")
    tiny.write_digits(folder)
    return folder


def pytest_configure() -> None:
    """Prepares the environment of Ray, which reads it as some test imports ray first."""
    prepare_environment()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Prints which faults the fault tests recovered from, at which stage, and at what cost."""
    for matrix in config.stash.get(CHAOS, []):
        terminalreporter.section("killed processes, by stage")
        terminalreporter.write_line(matrix)
