"""Names from a dataset as text that is only shown: no control characters, no escapes."""


def escape_unprintable(text: object, keep: str = "") -> str:
    """Returns `str(text)` on one line, each unprintable character as its escape (`\\x1b`).

    Such characters are newlines, terminal escapes, marks that reverse the direction of writing and
    lone surrogates.

    Args:
        text: What is shown.
        keep: Characters that stay although Python does not call them printable.
    """
    characters = []
    for character in str(text):
        if character.isprintable() or character in keep:
            characters.append(character)
        else:
            characters.append(character.encode("unicode_escape").decode())
    return "".join(characters)
