"""The study of one page: what it knows, and what it shows when a step has ended."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeAlias

from bottleneck.app.study import step_display
from bottleneck.app.study.steps.step_choices import CompareChoice, DataChoice
from bottleneck.app.study.steps.step_process import StepProcess
from bottleneck.app.study.steps.step_results import (
    ComparedHeads,
    DataSummary,
    FeatureSummary,
    OfferedNetwork,
)
from bottleneck.errors import BottleneckError, UsageError, describe_os_error

__all__ = ["Event", "PageStudy", "Updates", "begun", "ended", "explained"]

#: New properties of components of the tab, by their names.
Updates: TypeAlias = dict[str, dict[str, Any]]

_STEPS = ("read", "extract", "compare", "keep")
# Options of the command line that the folded part of the form has.
_FOLDED = ("-column", "patient pattern", "patient-pattern", "--images")


@dataclasses.dataclass
class PageStudy:
    """The study of one page."""

    data: DataChoice | None = None
    summary: DataSummary | None = None
    networks: tuple[OfferedNetwork, ...] = ()
    features: FeatureSummary | None = None
    choice: CompareChoice | None = None
    compared: ComparedHeads | None = None
    running: StepProcess | None = None


#: It takes the study of the page, the key of its session, and the values of the fields.
Event: TypeAlias = Callable[[PageStudy, str | None, Mapping[str, Any]], AsyncIterator[Updates]]
_Method: TypeAlias = Callable[
    [Any, PageStudy, str | None, Mapping[str, Any]], AsyncIterator[Updates]
]


def explained(name: str) -> Callable[[_Method], _Method]:
    """Let an event show its errors on the page, whose buttons can then be pressed again.

    Parameters
    ----------
    name : str
        Name of the step, or "networks" or "preview".
    """

    def decorate(event: _Method) -> _Method:
        @functools.wraps(event)
        async def run(
            self: Any, study: PageStudy, key: str | None, values: Mapping[str, Any]
        ) -> AsyncIterator[Updates]:
            try:
                async for updates in event(self, study, key, values):
                    yield updates
            except OSError as error:
                text = f"a file cannot be read or written: {describe_os_error(error)}"
                yield _describe_failure(name, UsageError(text), study)
            except BottleneckError as error:
                yield _describe_failure(name, error, study)

        return run

    return decorate


def begun(name: str) -> Updates:
    """Return what a page shows while a step runs: no other can be started."""
    return _show_buttons(name, is_running=True)


def ended(name: str) -> Updates:
    """Return what a page shows after a step, however it ended."""
    return _show_buttons(name, is_running=False)


def _show_buttons(name: str, *, is_running: bool) -> Updates:
    buttons = {f"{step}_run": {"interactive": not is_running} for step in _STEPS}
    return {f"{name}_cancel": {"visible": is_running}, **buttons}


def _open_fields(error: BottleneckError) -> Updates:
    """Unfold the part of the form that has what an error asks for."""
    return {"more": {"open": True}} if any(one in str(error) for one in _FOLDED) else {}


def _describe_failure(name: str, error: BottleneckError, study: PageStudy) -> Updates:
    part = name if name == "preview" else f"{name}_message"
    shown: Updates = {part: {"value": step_display.show_error(str(error))}}
    if name in _STEPS and study.running is None:
        shown |= {**ended(name), **_open_fields(error)}
    return shown
