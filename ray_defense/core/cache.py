"""Where what can be had again is kept on this machine: downloaded archives, working directories of stores elsewhere."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Returns RAY_DEFENSE_CACHE, or `ray_defense` in the user's XDG cache."""
    own = os.environ.get("RAY_DEFENSE_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ray_defense"
