"""Names from a dataset as text that a terminal only shows: no control characters, no escapes."""


def escape_unprintable(text: object) -> str:
    """Returns `str(text)` on one line, each unprintable character as its escape (`\\x1b`)."""
    characters = []
    for character in str(text):
        if character.isprintable():
            characters.append(character)
        else:
            characters.append(character.encode("unicode_escape").decode())
    return "".join(characters)
