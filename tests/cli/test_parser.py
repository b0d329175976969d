"""Every refusal of the parser is one line, an unknown option with the nearest of that command."""

import pytest

from ray_defense.cli.parser import CommandParser
from ray_defense.core.errors import InputError


@pytest.fixture
def parser() -> CommandParser:
    parser = CommandParser("try", "Tries.")
    parser.add_argument("recipe")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--set", action="append", default=[])
    return parser


def test_options_are_read_with_their_values(parser: CommandParser):
    options = parser.parse_options(["x", "--repeats=2", "--set", "a=b", "--set", "c=--d"])
    assert vars(options) == {"recipe": "x", "repeats": 2, "set": ["a=b", "c=--d"]}
    assert parser.parse_options(["x"]).repeats == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x", "--repeat", "2"], "unknown option '--repeat': did you mean '--repeats'"),
        (["x", "--repeat=2"], "unknown option '--repeat': did you mean '--repeats'"),
        (["x", "--executor", "ray"], "unknown option '--executor'"),
        (["x", "--repeats", "many"], "invalid int value: 'many': see ray-defense try --help"),
        (["x", "y"], "unrecognized arguments: y"),
        ([], "the following arguments are required: recipe"),
    ],
)
def test_what_is_wrong_is_refused(parser: CommandParser, words: list[str], message: str):
    with pytest.raises(InputError) as error:
        parser.parse_options(words)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
