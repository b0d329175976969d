"""Names from a dataset as text that a terminal only shows: no control character, no escape sequence, no markup."""


def inert(text: object) -> str:
    """Returns `str(text)` on one line, each character that is not printable as its escape (`\\x1b`)."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))
