"""The study of users types the lines of its page into one shell, as they stand."""

from pathlib import Path

from benchmarks.first_answers.__main__ import PAGE
from benchmarks.first_answers.steps import commands_by_heading, run_steps
from benchmarks.support import ROOT


def test_commands_are_the_indented_lines_below_each_heading():
    text = "# Page\n\n    no user\n\n## One\n\n    a b\n\ntext\n\n    c\n\n## Two\n\n    d\n"
    assert commands_by_heading(text) == {"One": ["a b", "c"], "Two": ["d"]}


def test_the_page_has_four_users_with_commands():
    users = commands_by_heading((ROOT / PAGE).read_text())
    assert len(users) == 4
    assert all(users.values())


def test_commands_share_a_shell_and_tell_keys_seconds_and_codes(tmp_path: Path):
    commands = ["export WORD=said", "echo $WORD > heard", "false", "cat", "sleep 0.2"]
    steps = list(run_steps(commands, tmp_path))
    assert [step["exit_code"] for step in steps] == [0, 0, 1, 0, 0]
    assert (tmp_path / "heard").read_text() == "said\n"
    assert steps[1]["keys"] == len("echo $WORD > heard") + 1
    assert steps[4]["seconds"] >= 0.2
