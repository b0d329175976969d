"""The commands of a page by its headings, and what it takes to run them in one shell."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_INDENT = "    "
_DONE = "step-is-done"


def commands_by_heading(text: str) -> dict[str, list[str]]:
    """Returns the indented lines below each heading of the second level, in order.

    Args:
        text: A page of Markdown.
    """
    commands: dict[str, list[str]] = {}
    heading = None
    for line in text.splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        elif heading is not None and line.startswith(_INDENT):
            commands.setdefault(heading, []).append(line.strip())
    return commands


def run_steps(commands: Sequence[str], folder: Path) -> Iterator[dict[str, Any]]:
    """Types commands into one shell and yields what each took.

    Args:
        commands: The lines.
        folder: Where the shell starts.

    Yields:
        `command`, `keys` (characters and Enter), `seconds` and `exit_code`.
    """
    shell = subprocess.Popen(
        ["bash", "--noprofile", "--norc"],
        cwd=folder,
        env={**os.environ, "PS1": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert shell.stdin is not None and shell.stdout is not None
    with shell:
        for command in commands:
            start = time.perf_counter()
            shell.stdin.write(f"{command} </dev/null\nprintf '\\n{_DONE} %s\\n' $?\n")
            shell.stdin.flush()
            code = _read_to_end(shell.stdout)
            yield {
                "command": command,
                "keys": len(command) + 1,
                "seconds": round(time.perf_counter() - start, 1),
                "exit_code": code,
            }
        shell.stdin.close()


def _read_to_end(output: Iterator[str]) -> int:
    for line in output:
        if line.startswith(_DONE):
            return int(line.split()[1])
    raise RuntimeError("the shell ended")
