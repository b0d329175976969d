"""Names from a dataset are shown as text alone."""

from ray_defense.core.escape_unprintable import escape_unprintable


def test_no_control_or_reversing_character_survives():
    text = "a\n\r\t\x1b\x9b\u202e\ud800é"
    assert escape_unprintable(text) == r"a\n\r\t\x1b\x9b\u202e\ud800é"
