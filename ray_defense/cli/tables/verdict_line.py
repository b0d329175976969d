"""A verdict in one line."""

from collections.abc import Mapping, Sequence
from typing import Any

_MAX_SHOWN = 12


def verdict_line(outcome: str, verdict: Mapping[str, Any], suspected: Sequence[str]) -> str:
    """Returns what `verdict.json` says in one line.

    Args:
        outcome: "evidence", "no evidence" or "not assessable".
        verdict: The content of `verdict.json`.
        suspected: How the suspected labels are called.
    """
    if outcome != "evidence":
        return f"verdict: {outcome}"
    line = f"verdict: evidence of a backdoor, {verdict['num_flagged']} samples flagged"
    interval = verdict["num_poisoned"]
    if interval is not None:
        line += f", {interval['low']} to {interval['high']} of them poisoned"
    if suspected:
        named = ", ".join(suspected[:_MAX_SHOWN])
        if len(suspected) > _MAX_SHOWN:
            named += ", ..."
        line += f"; suspected labels: {named}"
    return line
