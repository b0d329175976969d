"""Text that comes from the files of a source: shortened before it reaches a table or a page."""

from ray_defense.data.limits import MAX_NAME_CHARACTERS, MAX_REASON_CHARACTERS


def shortened(text: object, max_characters: int = MAX_REASON_CHARACTERS) -> str:
    """Returns a text of at most so many characters; what is left out becomes an ellipsis."""
    whole = str(text)
    if len(whole) <= max_characters:
        return whole
    return whole[: max_characters - 1] + "…"


def encodable(text: str) -> str:
    """Returns a text that UTF-8 can encode: bytes of a file name that it cannot become escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def class_name(text: object) -> str:
    """Returns the name of a class as tables and pages may show it: encodable and not too long."""
    return shortened(encodable(str(text)), MAX_NAME_CHARACTERS)
