"""Templates of HTML pages: what they show is escaped, and hides nothing."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from bottleneck.text.plain_text import visible

__all__ = ["html_environment"]


def html_environment(package: str) -> Environment:
    """Return a new environment of the templates in the folder ``templates`` of a package.

    Parameters
    ----------
    package : str
        Its import path.
    """
    return Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
