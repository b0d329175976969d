"""`ray-defense`: one command line in, one exit code out."""

import argparse
import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from types import FrameType

from ray_defense.cli.commands import COMMANDS, Command
from ray_defense.cli.parser import CommandParser
from ray_defense.core.errors import InputError, RayDefenseError, RunError, unknown_name
from ray_defense.core.escape_unprintable import escape_unprintable
from ray_defense.core.import_path import drop_current_directory, safe_children
from ray_defense.core.version import VERSION

_ABOUT = (
    "Finds poisoned samples in an image training set and trains or repairs a model without the "
    "backdoor."
)
# Errors of the system that the user can mend before the same command goes on, each with a hint.
_MENDABLE = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room, or raise the quota",
    errno.EFBIG: "lift the limit on the size of files (ulimit -f unlimited)",
    errno.EROFS: "mount the disk writable, or choose another folder",
    errno.EACCES: "allow this user in, or choose another folder",
    errno.EPERM: "allow this user in, or choose another folder",
    errno.ENOTDIR: "choose another folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "mend the links, or choose another folder",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "raise the limit on open files",
    errno.ENOMEM: "free memory, or take less",
    errno.EIO: "mend the disk, or choose another one",
}
_NO_HOME = "Could not determine home directory"  # how pathlib says it
_RESUME = "the same command resumes where this one stopped"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line.

    Args:
        argv: The words after the name of the program; None for the arguments of this process.

    Returns:
        0 done, 2 refused, 3 failed, 130 on Ctrl-C, 143 on SIGTERM (the same command resumes).

    Raises:
        SystemExit: After --help and --version.
    """
    if argv is None:  # this process is ours: nothing is imported from where it was started
        drop_current_directory()
    try:
        command, options = parse_command_line(sys.argv[1:] if argv is None else argv)
    except InputError as error:
        return _print_error(error, error.exit_code)
    terminated = threading.Event()

    def terminate(number: int, frame: FrameType | None) -> None:
        terminated.set()
        raise KeyboardInterrupt  # Ray, too, lets this through while it waits

    handler_before = signal.signal(signal.SIGTERM, terminate)
    try:
        with safe_children():
            code = command.execute(options)
        sys.stdout.flush()
        return code
    except RayDefenseError as error:
        return _print_error(error, error.exit_code)
    except BrokenPipeError:  # `ray-defense list | head`
        # The interpreter flushes once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop.__context__, BrokenPipeError):
            raise  # how rich ends `ray-defense run | head`
        # A SystemExit is Ray's: it has handlers of its own, for Ctrl-C and for SIGTERM.
        by_ray = isinstance(stop, SystemExit) and stop.code == signal.SIGTERM
        if terminated.is_set() or by_ray:
            return _print_error(f"ended by SIGTERM: {_RESUME}", 128 + signal.SIGTERM)
        return _print_error(f"interrupted: {_RESUME}", 128 + signal.SIGINT)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _MENDABLE:
            hint = _MENDABLE[error.errno]
            return _print_error(f"{error}: {hint}, and {_RESUME}", RunError.exit_code)
        if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
            message = f"a path is not UTF-8, {error.object!r}: rename it, or choose another"
            return _print_error(message, InputError.exit_code)
        if isinstance(error, RuntimeError) and str(error).startswith(_NO_HOME):
            message = "this user has no home directory: set HOME to a folder you may write"
            return _print_error(message, InputError.exit_code)
        if isinstance(error, MemoryError):
            message = f"out of memory: free some, or take less, and {_RESUME}"
            return _print_error(message, RunError.exit_code)
        traceback.print_exc()
        message = "failed for an unforeseen reason: its traceback is above"
        return _print_error(message, RunError.exit_code)
    finally:
        signal.signal(signal.SIGTERM, handler_before)


def parse_command_line(words: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    """Returns the command that a command line names, and its options.

    Raises:
        InputError: For what is unknown; the message suggests the nearest name.
        SystemExit: After --help and --version.
    """
    if words[:1] == ["--version"]:
        print(f"ray-defense {VERSION}")
        raise SystemExit(0)
    if words[:1] in (["--help"], ["-h"]):
        print(overview())
        raise SystemExit(0)
    name, rest = split_command(words)
    if name not in COMMANDS:
        print(overview(name))
        raise SystemExit(0)
    command = COMMANDS[name].load()
    return command, command_parser(name, command).parse_options(rest)


def command_parser(name: str, command: Command) -> CommandParser:
    """Returns the parser of a command."""
    purpose = COMMANDS[name].purpose
    parser = CommandParser(name, purpose[0].upper() + purpose[1:] + ".")
    command.add_options(parser)
    return parser


def split_command(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Returns the name of the command (`run`, `attacks check`) and the words after it.

    For `attacks --help` the name is the name of the group, `attacks`.

    Raises:
        InputError: If there is no such command.
    """
    first_words = list(dict.fromkeys(name.split()[0] for name in COMMANDS))
    if not words:
        names = ", ".join(first_words)
        raise InputError(f"name a command: {names} (see ray-defense --help)")
    first = words[0]
    if first in COMMANDS:
        return first, words[1:]
    if first.startswith("--"):
        raise unknown_name("option", first, ("--help", "--version"))
    if first not in first_words:
        raise unknown_name("command", first, first_words)
    second_words = [name.split()[1] for name in COMMANDS if name.startswith(f"{first} ")]
    if len(words) < 2:
        names = ", ".join(second_words)
        raise InputError(f"name a command of {first}: {names} (see ray-defense {first} --help)")
    if words[1] in ("--help", "-h"):
        return first, words[1:]
    if words[1] not in second_words:
        raise unknown_name(f"command of {first}", words[1], second_words)
    return f"{first} {words[1]}", words[2:]


def overview(group: str = "") -> str:
    """Returns what `--help` prints: all commands, or the commands of one group, with purposes."""
    lines = [f"usage: ray-defense {group or 'COMMAND'} ...", "", _ABOUT, "", "commands:"]
    for name, entry in COMMANDS.items():
        if name.startswith(group):
            lines.append(f"  {name:<16} {entry.purpose}")
    lines.append("")
    lines.append("`ray-defense COMMAND --help` shows the options of a command.")
    return "\n".join(lines)


def _print_error(message: object, code: int) -> int:
    print(f"ray-defense: {escape_unprintable(message)}", file=sys.stderr)
    return code
