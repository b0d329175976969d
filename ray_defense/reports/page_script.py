"""The script that pages run: it sorts, filters and copies what they show."""

import base64
import hashlib
from pathlib import Path

from markupsafe import Markup

_FILE = "audit.js"


def page_script() -> tuple[Markup, str]:
    """Returns the script, and what a Content-Security-Policy calls it.

    It is our own text, without any value of the data.
    """
    script = Path(__file__).with_name("templates").joinpath(_FILE).read_text()
    digest = hashlib.sha256(script.encode()).digest()
    return Markup(script), "sha256-" + base64.b64encode(digest).decode()
