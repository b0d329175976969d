"""What tests share: reproducible examples without a deadline (the machine may be slow), and a folder of small data."""

import pytest
from hypothesis import settings

CHAOS = pytest.StashKey[list[str]]()  # tables of `test_chaos`

settings.register_profile("ray_defense", deadline=None, derandomize=True)
settings.load_profile("ray_defense")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder with 256 training and 64 test digits, as Parquet."""
    import tiny  # here, since it loads torch, which many tests do without

    folder = tmp_path_factory.mktemp("digits")
    tiny.write_digits(folder)
    return folder


def pytest_terminal_summary(terminalreporter, config):
    """Prints what the fault tests found: which fault at which stage was recovered, and what it cost."""
    for matrix in config.stash.get(CHAOS, []):
        terminalreporter.section("killed processes, by stage")
        terminalreporter.write_line(matrix)
