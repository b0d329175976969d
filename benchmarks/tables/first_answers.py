"""The table of what four users type until they have their answer."""

from typing import Any

from benchmarks.documents import Table, load_result


def first_answers_table() -> Table:
    """Returns a row for each user, and one for the installation."""
    measured = load_result("first_answers/users.json")
    rows = [_row(user, steps) for user, steps in measured["users"].items()]
    installation = _row("the installation, once", [measured["installation"]])
    return Table(
        ["who and what", "commands", "keys", "seconds", "exit codes"], [*rows, installation]
    )


def _row(name: str, steps: list[dict[str, Any]]) -> list[str]:
    codes = sorted({step["exit_code"] for step in steps})
    return [
        name,
        str(len(steps)),
        f"{sum(step['keys'] for step in steps):,}",
        f"{sum(step['seconds'] for step in steps):,.0f}",
        ", ".join(map(str, codes)),
    ]
