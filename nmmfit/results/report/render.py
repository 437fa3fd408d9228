"""A report as HTML: one file, no address that a browser would load from, and nothing in it that could run."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from nmmfit import __version__
from nmmfit.results.report.document import Document, anchor

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE = "page.html.j2"


def template_text() -> str:
    """The template, as it travels in the package."""
    return (files("nmmfit.results.report") / TEMPLATE).read_text(encoding="utf-8")


def _environment() -> Environment:
    from jinja2 import Environment, StrictUndefined

    made = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    made.filters["anchor"] = anchor
    return made


def html(document: Document) -> str:
    """The page. Every text is escaped; pictures are data URIs."""
    return _environment().from_string(template_text()).render(document=document, version=__version__)
