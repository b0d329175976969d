"""The folder on this machine for what can be had again: downloads, and work of remote stores."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Returns RAY_DEFENSE_CACHE, or `ray_defense` in the user's XDG cache."""
    own = os.environ.get("RAY_DEFENSE_CACHE")
    if own:
        return Path(own)
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "ray_defense"
