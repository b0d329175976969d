"""The connection to Ray: its environment, its token, the cluster it joins.

Ray gives its processes the current directory of the driver, and its workers import from there
first. Hostile data may lie there, so Ray starts from an empty directory; workers import from the
current directory only where the driver itself does.
"""

import contextlib
import json
import logging
import os
import resource
import secrets
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ray_defense.cluster.signal_handlers import kept_signal_handlers
from ray_defense.core.errors import InputError, RunError
from ray_defense.core.files import write_bytes
from ray_defense.core.import_path import (
    imports_from_current_directory,
    safe_children,
    safe_variables,
)
from ray_defense.core.neutral_directory import in_directory, neutral_directory
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
    # How often a task is tried again whose process Ray ended because a node's memory was full,
    # after 1, 2, 4 seconds; without an end otherwise.
    "RAY_task_oom_retries": "3",
}
OPEN_RAY = "RAY_DEFENSE_ALLOW_OPEN_RAY"  # 1: a Ray without a token may be started
_SUBMITTED_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # Ray describes a submitted job in it
_TOKEN_VARIABLES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_DATA_VARIABLES = ("RAY_DEFENSE_DATA", "RAY_DEFENSE_CACHE")
_PATH_VARIABLES = (*_DATA_VARIABLES, "RAY_AUTH_TOKEN_PATH", "RAY_TMPDIR")
_MIN_FREE_BYTES = 20 << 20  # the logs of a short run; measured: Ray does not come up with 300 KB
_SHARED_MEMORY = 0.3  # of the memory of a machine, which Ray takes for objects
# What workers of another cluster need.
_PASSED_ON = (*_DATA_VARIABLES, "TUNE_FUNCTION_THREAD_TIMEOUT_S")


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
    if cluster_address() is None and not any(os.environ.get(name) for name in _TOKEN_VARIABLES):
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(token_file())


def cluster_address() -> str | None:
    """Returns the address of the cluster that RAY_ADDRESS names; None for a Ray of this machine."""
    address = os.environ.get("RAY_ADDRESS", "")
    return None if address in ("", "local") else address


def is_submitted_job() -> bool:
    """Returns whether this process was started by `ray job submit`."""
    return _SUBMITTED_JOB in os.environ


def token_file() -> Path:
    """Returns the file of this user's token, made with mode 0600 if it is missing.

    Raises:
        InputError: If it cannot be made.
    """
    try:
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        path = Path(state) / "ray_defense" / "ray-token"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, secrets.token_hex(32).encode(), mode=0o600)
    except (OSError, RuntimeError) as error:  # a RuntimeError where there is no home
        raise InputError(
            f"cannot make the token of Ray ({error}): set XDG_STATE_HOME to a folder that you may "
            "write, or use --executor local"
        ) from None
    return path


def connect() -> bool:
    """Joins a cluster, or starts a Ray of this machine, unless Ray is up in this process.

    Returns:
        Whether Ray was not up before, so that the caller has to shut it down.

    Raises:
        InputError: If a Ray would be started that executes what anybody sends to it.
        RunError: If Ray cannot be started or joined.
    """
    import ray

    if ray.is_initialized():
        return False
    for name in _PATH_VARIABLES:
        if os.environ.get(name):
            os.environ[name] = os.path.abspath(os.environ[name])  # workers run in other directories
    address = cluster_address()
    runtime_env = None
    if address is None:
        check_token_used()
        check_limits()
    else:
        variables = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        runtime_env = {"env_vars": {**variables, **safe_variables()}}
    job_config = ray.job_config.JobConfig(_py_driver_sys_path=folders_for_workers())
    try:
        with kept_signal_handlers(), safe_children(), in_directory(neutral_directory()):
            ray.init(
                address=address or "local",  # a bare init would attach to what a stale file names
                log_to_driver=False,
                logging_level="CRITICAL",  # what fails is raised, and told in one line
                runtime_env=runtime_env,
                job_config=job_config,
            )
    except Exception as error:
        raise _start_error(address, error) from None
    for name in ("ray.data", "ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return True


def check_token_used() -> None:
    """Refuses to start a Ray without a token, unless that is asked for in so many words.

    Ray listens on all interfaces, and without a token it executes what anybody sends to it.
    """
    mode = os.environ.get("RAY_AUTH_MODE", "token")
    if mode.lower() == "token" or os.environ.get(OPEN_RAY) == "1":
        return
    raise InputError(
        f"RAY_AUTH_MODE is {mode!r}: the Ray started here would execute code from anybody who "
        "reaches this machine; unset it, or name your own cluster in RAY_ADDRESS, or set "
        f"{OPEN_RAY}=1 if that is what you want"
    )


def check_limits() -> None:
    """Refuses to start a Ray where its processes would die at once: it would wait two minutes.

    Raises:
        InputError: If there is too little room for its folder, or files may not be as long as the
            shared memory that it takes.
    """
    folder = Path(os.environ.get("RAY_TMPDIR") or "/tmp")
    with contextlib.suppress(OSError):  # what cannot be asked Ray will find out
        free_bytes = shutil.disk_usage(folder).free
        if free_bytes < _MIN_FREE_BYTES:
            raise InputError(
                f"{folder}, where Ray keeps its files, has {free_bytes >> 20} MiB free and must "
                f"have {_MIN_FREE_BYTES >> 20}: make room, name another folder in RAY_TMPDIR, or "
                "use --executor local"
            )
    limit_bytes, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if limit_bytes != resource.RLIM_INFINITY and limit_bytes < _SHARED_MEMORY * memory_bytes:
        raise InputError(
            f"the limit on the size of files is {limit_bytes >> 20} MiB, less than the shared "
            "memory of Ray: lift it (ulimit -f unlimited), or use --executor local"
        )


def folders_for_workers() -> list[str]:
    """Returns where workers import from beside their own folders, as far as the driver does.

    These are the folder of the script and the current directory. A submitted job with code of its
    own has both in that code.
    """
    description = json.loads(os.environ.get(_SUBMITTED_JOB) or "{}")
    if (description.get("runtime_env") or {}).get("working_dir"):
        return []
    folders = []
    script_folder = os.path.dirname(os.path.realpath(sys.argv[0]))
    if script_folder in sys.path:
        folders.append(script_folder)
    if imports_from_current_directory():
        folders.append(os.getcwd())
    return folders


def _start_error(address: str | None, error: Exception) -> RunError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if address is not None:
        return RunError(
            f"cannot join the cluster at {address} ({lines[0]}): check RAY_ADDRESS, RAY_AUTH_MODE "
            "and the token"
        )
    return RunError(
        f"Ray cannot be started here ({lines[0]}): make room in its folder (/tmp/ray, or the one "
        "that RAY_TMPDIR names) and allow this user in, lift the limits on files and processes "
        "(ulimit), or use --executor local"
    )
