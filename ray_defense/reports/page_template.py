"""The Jinja templates of all pages: every value comes out as text, never as markup."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from ray_defense.core.escape_unprintable import escape_unprintable
from ray_defense.reports.figures import png_uri, svg_uri


def load_template(name: str) -> Template:
    """Returns a template of the folder `templates` with the filters that pages share.

    Values are escaped, and characters in them that are not printable are written out.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown_value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = format_percent
    environment.filters["interval"] = _format_interval
    environment.filters["number"] = _format_number
    environment.filters["duration"] = _format_duration
    environment.filters["cut"] = cut
    environment.filters["small"] = _format_small
    environment.filters["png"] = png_uri
    environment.filters["svg"] = svg_uri
    return environment.get_template(name)


def format_percent(rate: float | None) -> str:
    """Returns a rate in [0, 1] in percent, or a dash where it was not measured."""
    if rate is None:
        return "–"
    return f"{100 * rate:.1f}\xa0%"


def shown_value(value: Any) -> Any:
    """Returns a text with its unprintable characters written out as Python does; else the value.

    Text that is markup already stays as it is.
    """
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return escape_unprintable(value, keep="\xa0")


def cut(text: str, longest: int = 160) -> str:
    """Returns a text, or its beginning and its end where it has more than `longest` characters."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}…{text[-half:]}"


def shown_bytes(text: str) -> int:
    """Returns how many bytes a text takes in a page, in which some characters are written out."""
    return len(escape(shown_value(text)).encode())


def _format_interval(bounds: list[float] | None) -> str:
    if bounds is None or None in bounds:
        return ""
    return f"{100 * bounds[0]:.1f} – {100 * bounds[1]:.1f}\xa0%"


def _format_number(value: float | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}"


def _format_small(value: float | None) -> str:
    """Returns a value of which the order of magnitude counts, such as a p-value."""
    return "–" if value is None else f"{value:.2g}"


def _format_duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"
