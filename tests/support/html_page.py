"""What an HTML page is made of, and names that try to become a part of it."""

from html.parser import HTMLParser

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=cmd|' /C calc'!A0",
    "a\nb",
    "$x^{$",
    "\x1b[31m",
    "\u202egnp",
    "\udcff",
    "{{ 7 * 7 }}",
    "]]>&amp;--></style>",
    "",
    "-rf " * 1000,
    "日本",
)


class Page(HTMLParser):
    """The tags with their attributes, and the pieces of text."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def attributes_of(self, tag: str) -> list[dict[str, str | None]]:
        """Returns the attributes of every tag of a name."""
        return [attributes for name, attributes in self.tags if name == tag]

    def structure(self) -> list[tuple[str, list[str]]]:
        """Returns the tags with the names of their attributes."""
        return [(tag, sorted(attributes)) for tag, attributes in self.tags]
