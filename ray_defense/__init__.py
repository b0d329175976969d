"""ray_defense finds poisoned samples in an image training set and trains or repairs a model."""

from typing import TYPE_CHECKING, Any

from ray_defense.core.version import VERSION

if TYPE_CHECKING:
    from ray_defense.api import (
        audit,
        defend,
        defend_audit,
        detect,
        export,
        load_model,
        read_shards,
        recipe,
        report,
        reproduce,
        run,
        sweep,
    )
    from ray_defense.core.config import override
    from ray_defense.core.errors import InputError, RunError
    from ray_defense.exports.export_audit import ExportSummary
    from ray_defense.pipeline.user_model import UserModel
    from ray_defense.reports.audit import Audit
    from ray_defense.reports.detection import Detection
    from ray_defense.reports.result import Result

__all__ = [
    "Audit",
    "Detection",
    "ExportSummary",
    "InputError",
    "Result",
    "RunError",
    "UserModel",
    "audit",
    "defend",
    "defend_audit",
    "detect",
    "export",
    "load_model",
    "override",
    "read_shards",
    "recipe",
    "report",
    "reproduce",
    "run",
    "sweep",
]
__version__ = VERSION

_MODULES = {
    "Audit": "ray_defense.reports.audit",
    "Detection": "ray_defense.reports.detection",
    "ExportSummary": "ray_defense.exports.export_audit",
    "InputError": "ray_defense.core.errors",
    "Result": "ray_defense.reports.result",
    "RunError": "ray_defense.core.errors",
    "UserModel": "ray_defense.pipeline.user_model",
    "override": "ray_defense.core.config",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'ray_defense' has no attribute {name!r}")
    # On first use: importing ray_defense itself loads nothing heavy.
    from importlib import import_module

    return getattr(import_module(_MODULES.get(name, "ray_defense.api")), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
