"""`ray-defense`: one command line in, one exit code out."""

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from types import FrameType

from ray_defense.cli.inert import inert
from ray_defense.cli.options import (
    BenchmarkOptions,
    CheckOptions,
    DefendOptions,
    Options,
    PreviewOptions,
    ReportOptions,
    RunOptions,
    SweepOptions,
)
from ray_defense.cli.parser import parse
from ray_defense.core.errors import Failed, RayDefenseError, Refused

_MENDABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
_RESUME = "the same command resumes where this one stopped"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line: 0 done, 2 refused, 3 failed, 130 on Ctrl-C, 143 on SIGTERM (the same command resumes)."""
    try:
        command, options = parse(sys.argv[1:] if argv is None else argv)
    except Refused as error:
        return _say(error, error.exit_code)
    terminated = threading.Event()

    def terminate(number: int, frame: FrameType | None) -> None:
        terminated.set()
        raise KeyboardInterrupt  # what Ray, too, lets through while it waits

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        code = _execute(command, options)
        sys.stdout.flush()
        return code
    except RayDefenseError as error:
        return _say(error, error.exit_code)
    except BrokenPipeError:  # `ray-defense list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at exit
        return 128 + signal.SIGPIPE
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop.__context__, BrokenPipeError):
            raise  # rich's way of ending `ray-defense run | head`
        # any other SystemExit is Ray's: it has handlers of its own, for Ctrl-C in training and for SIGTERM
        if terminated.is_set() or (isinstance(stop, SystemExit) and stop.code == signal.SIGTERM):
            return _say(f"ended by SIGTERM: {_RESUME}", 128 + signal.SIGTERM)
        return _say(f"interrupted: {_RESUME}", 128 + signal.SIGINT)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _MENDABLE:
            return _say(f"{error}: mend that, and {_RESUME}", Failed.exit_code)
        traceback.print_exc()
        return _say("failed for an unforeseen reason: its traceback is above", Failed.exit_code)
    finally:
        signal.signal(signal.SIGTERM, before)


def _execute(command: str, options: Options | None) -> int:
    match options:  # each import is done only for its command: most take a second
        case RunOptions():
            from ray_defense.cli.run import run

            return run(options)
        case DefendOptions():
            from ray_defense.cli.defend import defend

            return defend(options)
        case ReportOptions():
            from ray_defense.cli.report import report

            return report(options)
        case BenchmarkOptions():
            from ray_defense.cli.benchmark import benchmark

            return benchmark(options)
        case PreviewOptions():
            from ray_defense.cli.attacks import preview

            return preview(options)
        case CheckOptions():
            from ray_defense.cli.attacks import check

            return check(options)
        case SweepOptions():
            from ray_defense.cli.sweep import sweep

            return sweep(options)
    if command == "list":
        from ray_defense.cli.listing import show
    else:
        from ray_defense.cli.doctor import show
    return show()


def _say(message: object, code: int) -> int:
    print(f"ray-defense: {inert(message)}", file=sys.stderr)
    return code
