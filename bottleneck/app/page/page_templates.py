"""The templates of the app: what they show is escaped, and hides nothing."""

from __future__ import annotations

import functools
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bottleneck.report.wording.number_format import prose, three
from bottleneck.text.plain_text import visible
from bottleneck.text.plurals import counted

__all__ = ["render"]


@functools.cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("bottleneck.app.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"prose": prose, "three": three, "counted": counted}
    return made


def render(name: str, **values: Any) -> str:
    """Return the HTML of a template.

    Parameters
    ----------
    name : str
        Its name, without a suffix.
    **values
        What it shows.
    """
    return _environment().get_template(f"{name}.html.jinja").render(values)
