"""The connection to Ray: its environment, its token, the cluster it joins."""

import logging
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ray_defense.cluster.signal_handlers import kept_signal_handlers
from ray_defense.execution.placement import ANYWHERE, Placement
from ray_defense.execution.protocols import Backend

if TYPE_CHECKING:
    from ray_defense.cluster.executor import RayExecutor

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # `report` comes through once a poll: 2 s otherwise
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "120",
    "RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S": "300",  # a worker that hangs so long is replaced
    "RAY_AIR_NEW_OUTPUT": "0",
    # The last report of a trial that is compared epoch by epoch has no metric.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends a sweep as it ends a run
    # How long, in seconds, a stopped trial may take to end before Tune gives up the next trial,
    # which is to have its process; 2 otherwise.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_OWN_TOKEN_VARIABLES = ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_PATH_VARIABLES = ("RAY_DEFENSE_DATA", "RAY_DEFENSE_CACHE")
# What workers of another cluster need.
_PASSED_ON = (*_PATH_VARIABLES, "PYTHONPATH", "TUNE_FUNCTION_THREAD_TIMEOUT_S")


def start_executor(backend: Backend = "auto", placement: Placement = ANYWHERE) -> "RayExecutor":
    """Returns an executor on the cluster that RAY_ADDRESS names, or on a Ray of this machine.

    Args:
        backend: Who reads the shards.
        placement: How the work is spread over the cluster.
    """
    prepare_environment()
    from ray_defense.cluster.executor import RayExecutor

    owns_connection = connect()
    return RayExecutor(backend, placement, owns_connection=owns_connection)


def prepare_environment() -> None:
    """Sets what Ray reads as it is imported, and makes the token of a local Ray.

    What the user has set stays. Where ray is imported already it keeps its own way with tokens.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if "ray" in sys.modules:
        return
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if not any(os.environ.get(name) for name in _OWN_TOKEN_VARIABLES):
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(token_file())


def token_file() -> Path:
    """Returns the file of this user's token, made with mode 0600 if it is missing."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    path = Path(state) / "ray_defense" / "ray-token"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.{os.getpid()}")
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w") as file:
            file.write(secrets.token_hex(32))
        os.replace(aside, path)
    return path


def connect() -> bool:
    """Joins a cluster, or starts a Ray of this machine, unless Ray is up in this process.

    Returns:
        Whether Ray was not up before, so that the caller has to shut it down.
    """
    import ray

    if ray.is_initialized():
        return False
    for name in _PATH_VARIABLES:
        if os.environ.get(name):
            os.environ[name] = os.path.abspath(os.environ[name])  # workers run in other directories
    address = os.environ.get("RAY_ADDRESS")
    runtime_env = None
    if address:
        variables = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        runtime_env = {"env_vars": variables}
    with kept_signal_handlers():
        ray.init(
            address=address or "local",  # a bare init would attach to what a stale file names
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env=runtime_env,
        )
    for name in ("ray.data", "ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return True
