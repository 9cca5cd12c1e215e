"""The templates of the app: what they show is escaped, and hides nothing."""

from __future__ import annotations

import functools
from typing import Any

from jinja2 import Environment

from bottleneck.report.wording.number_format import prose, three
from bottleneck.text.html_templates import html_environment
from bottleneck.text.plurals import counted

__all__ = ["render"]


@functools.cache
def _environment() -> Environment:
    made = html_environment("bottleneck.app.page")
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
