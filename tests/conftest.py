"""What tests share: reproducible examples without a deadline (the machine may be slow), and a folder of small data."""

import pytest
from hypothesis import settings

settings.register_profile("ray_defense", deadline=None, derandomize=True)
settings.load_profile("ray_defense")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder with 256 training and 64 test digits, as Parquet."""
    import tiny  # here, since it loads torch, which many tests do without

    folder = tmp_path_factory.mktemp("digits")
    tiny.write_digits(folder)
    return folder
