"""Writes docs/cli.md from the parsers of the commands: `python docs/write_cli.py`."""

import argparse
from pathlib import Path

from ray_defense.cli.commands import COMMANDS
from ray_defense.cli.main import command_parser

PAGE = Path(__file__).parent / "cli.md"
_INTRODUCTION = """# Commands

This page is made from the parsers of the commands by `python docs/write_cli.py`.

`./run.sh COMMAND ...` installs what is missing and runs a command. In an environment that has
`ray_defense`, `ray-defense COMMAND ...` is the same.
"""


def command_page() -> str:
    """Returns the text of the page."""
    sections = [_INTRODUCTION]
    for name in COMMANDS:
        sections.append(command_section(name))
    return "\n".join(sections)


def command_section(name: str) -> str:
    """Returns the heading, the purpose and the options of a command."""
    parser = command_parser(name, COMMANDS[name].load())
    lines = [f"## {name}", "", str(parser.description), ""]
    positional_words = []
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        if action.option_strings:
            rows.append(option_row(action))
        else:
            word = action.dest.upper()
            forms = {"*": f"[{word} ...]", "?": f"[{word}]"}
            positional_words.append(forms.get(str(action.nargs), word))
            rows.append(f"| `{word}` | {table_cell(action)} |")
    usage = " ".join(["./run.sh", name, *positional_words])
    if rows:
        usage += " [options]"
    lines += [f"    {usage}", ""]
    if rows:
        lines += ["| Argument | Meaning |", "| --- | --- |", *rows, ""]
    return "\n".join(lines)


def option_row(action: argparse.Action) -> str:
    """Returns the row of an option."""
    option = action.option_strings[-1]
    if action.choices is not None:
        option += f" {{{','.join(map(str, action.choices))}}}"
    elif action.metavar is not None:
        option += f" {action.metavar}"
    return f"| `{option}` | {table_cell(action)} |"


def table_cell(action: argparse.Action) -> str:
    """Returns the help of an argument, with its default where it has one."""
    text = str(action.help).replace("|", "\\|")
    if action.default not in (None, False, [], argparse.SUPPRESS):
        text += f" (default: `{action.default}`)"
    return text


if __name__ == "__main__":
    PAGE.write_text(command_page())
