"""Commands whose calls of the library are replaced, and tables as text."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest
from rich.console import Console, RenderableType

from ray_defense import api

API_CALLS = (
    "export",
    "run",
    "defend",
    "report",
    "benchmark",
    "preview_attack",
    "check_attacks",
    "sweep",
)


@dataclass
class RecordedCalls:
    """The calls that stand in for one of the library's.

    Attributes:
        arguments: The positional arguments of each call.
        options: The keyword arguments of each call.
    """

    answer: Callable[..., Any]
    arguments: list[tuple[Any, ...]] = field(default_factory=list)
    options: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.arguments.append(arguments)
        self.options.append(options)
        return self.answer(*arguments, **options)


def replace_call(
    monkeypatch: pytest.MonkeyPatch, name: str, answer: Callable[..., Any]
) -> RecordedCalls:
    """Puts a function in the place of one of `API_CALLS` and records how it is called."""
    calls = RecordedCalls(answer)
    monkeypatch.setattr(api, name, calls)
    return calls


def raising(error: BaseException) -> Callable[..., NoReturn]:
    """Returns a function that raises an error."""

    def fail(*arguments: Any, **options: Any) -> NoReturn:
        raise error

    return fail


def forbid_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every call of the library that would run something fail."""
    for name in API_CALLS:
        monkeypatch.setattr(api, name, raising(AssertionError(f"{name} was called")))


def line_with(text: str, *parts: str) -> str:
    """Returns the only line of a text that has all the parts."""
    lines = []
    for line in text.splitlines():
        if all(part in line for part in parts):
            lines.append(line)
    assert len(lines) == 1, text
    return lines[0]


def as_text(table: RenderableType, width: int = 100) -> str:
    """Returns what a terminal of some width shows of a table."""
    file = io.StringIO()
    console = Console(file=file, width=width, highlight=False)
    console.print(table)
    return file.getvalue()
