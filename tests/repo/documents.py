"""Reads the documents: their fenced blocks, commands, inline code, snippets and links."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "deploy" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
)
_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^    (?P<line>\S.*)$", re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Document:
    """One page."""

    path: Path

    @property
    def name(self) -> str:
        """The path inside the repository."""
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        """The whole page."""
        return self.path.read_text()

    @property
    def prose(self) -> str:
        """The page without its fenced and indented blocks."""
        return _INDENTED.sub("", _FENCE.sub("", self.text))

    def commands(self) -> list[str]:
        """Returns the lines of indented and shell blocks, without comments."""
        lines = _INDENTED.findall(_FENCE.sub("", self.text))
        for fence in _FENCE.finditer(self.text):
            if fence["language"] in ("sh", "bash", "shell", "console"):
                lines.extend(fence["text"].splitlines())
        commands = []
        for line in lines:
            command = re.sub(r"\s+#\s.*$", "", line).strip()
            if command:
                commands.append(command)
        return commands

    def spans(self) -> list[str]:
        """Returns the inline code of the prose, each once."""
        return list(dict.fromkeys(_SPAN.findall(self.prose)))

    def snippets(self) -> list[str]:
        """Returns the Python blocks."""
        found = []
        for fence in _FENCE.finditer(self.text):
            if fence["language"] == "python":
                found.append(fence["text"])
        return found

    def links(self) -> list[str]:
        """Returns the targets of links inside the repository, without anchors."""
        targets = []
        for target in _LINK.findall(self.prose):
            if "://" not in target and not target.startswith("#"):
                targets.append(target.split("#")[0])
        return targets


DOCUMENTS = [Document(path) for path in PAGES]
