"""ray_defense: finds poisoned samples in an image training set and trains or repairs a model without the backdoor."""

from typing import TYPE_CHECKING, Any

from ray_defense.core.version import VERSION

if TYPE_CHECKING:
    from ray_defense.api import Result, run

__all__ = ["Result", "run"]
__version__ = VERSION


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'ray_defense' has no attribute {name!r}")
    from ray_defense import api  # on first use: `import ray_defense` itself loads nothing heavy

    return getattr(api, name)
