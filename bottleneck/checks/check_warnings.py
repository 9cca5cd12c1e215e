"""Warnings of results: texts that carry the code of their check."""

from __future__ import annotations

from collections.abc import Callable, Iterable

__all__ = ["RANDOM_WEIGHTS", "CheckWarning", "warn"]


class CheckWarning(str):
    """The text of a warning, with the code of its check.

    Attributes
    ----------
    code : str
        The code, such as "BF301".

    Examples
    --------
    >>> warning = CheckWarning("BF303", "random weights: the figures are meaningless")
    >>> warning.code
    'BF303'
    >>> print(warning)
    random weights: the figures are meaningless
    >>> print(warning.with_code)
    random weights: the figures are meaningless (BF303)
    """

    code: str

    def __new__(cls, code: str, text: str) -> CheckWarning:
        """Return the text as a warning of the check with this code."""
        made = super().__new__(cls, text)
        made.code = code
        return made

    def __reduce__(self) -> tuple[type[CheckWarning], tuple[str, str]]:
        return CheckWarning, (self.code, str(self))

    @property
    def with_code(self) -> str:
        """The text, and the code in parentheses."""
        return f"{self.removesuffix('.')} ({self.code}){'.' if self.endswith('.') else ''}"

    def to_dict(self) -> dict[str, str]:
        """Return the code and the text, for JSON."""
        return {"code": self.code, "text": str(self)}

    def map(self, change: Callable[[str], str]) -> CheckWarning:
        """Return the warning with another text, under the same code."""
        return CheckWarning(self.code, change(str(self)))


RANDOM_WEIGHTS = CheckWarning("BF303", "random weights: the figures are meaningless")


def warn(code: str, texts: Iterable[str]) -> tuple[CheckWarning, ...]:
    """Return a warning of one check for each text.

    Examples
    --------
    >>> [one.code for one in warn("BF302", ["one patient has 20 of the 60 test samples"])]
    ['BF302']
    """
    return tuple(CheckWarning(code, text) for text in texts)
