"""What the buttons of the study tab do: each starts a step, shows how far it is, and its result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from bottleneck.app.app_settings import AppSettings
from bottleneck.app.study import step_display
from bottleneck.app.study.offered_sources import PHANTOM
from bottleneck.app.study.page_study import PageStudy, Updates, begun, ended, explained
from bottleneck.app.study.report_folders import archive_report, new_report_folder
from bottleneck.app.study.steps import study_steps
from bottleneck.app.study.steps.step_choices import (
    CompareChoice,
    DataChoice,
    ExtractChoice,
    FitChoice,
    PatternChoice,
    WeightsChoice,
)
from bottleneck.app.study.steps.step_process import StepCancelledError, StepProcess
from bottleneck.app.study.steps.step_results import (
    ComparedHeads,
    DataSummary,
    FeatureSummary,
    KeptModel,
    OfferedNetwork,
)
from bottleneck.backbones.licences import LicencePolicy, judge_licence, licence_text
from bottleneck.errors import BottleneckError, UsageError

__all__ = ["StudyEvents"]

# In seconds: how often a running step is looked at, and how long a pattern may take.
_PAUSE, _PATTERN_LIMIT = 0.25, 5.0
# What ``compare`` takes without --at-sensitivity.
_SENSITIVITY = 0.9
_COLUMNS = ("path_column", "label_column", "patient_column")


class StudyEvents:
    """What the buttons of the study tab do.

    Each event takes the study of the page, the key of its session, and the values of the fields
    by name. It yields new properties of the components of the tab.

    Parameters
    ----------
    settings : AppSettings
        What the app was started with.
    """

    def __init__(self, settings: AppSettings) -> None:
        self._settings = settings
        self._policy = settings.models.licence_policy
        self._listing: StepProcess | None = None
        # Those that are being made, by any page.
        self._reports: set[Path] = set()

    @explained("read")
    async def read(
        self, study: PageStudy, key: str | None, values: Mapping[str, Any]
    ) -> AsyncIterator[Updates]:
        """Read the data set."""
        if study.running is not None:
            raise UsageError(_BUSY)
        # What follows is of the data set before.
        study.data = study.summary = study.features = study.compared = None
        hidden = {"visible": False}
        yield dict.fromkeys(
            ("extract_group", "compare_group", "report_group", "keep_group"), hidden
        )
        choice = self._read_choice(values)
        result: list[DataSummary] = []
        async for updates in self._run(
            study, key, "read", study_steps.read_data, choice, "Reading the pictures …", result
        ):
            yield updates
        if not result:
            return
        study.data, study.summary = choice, result[0]
        shown: Updates = {
            **ended("read"),
            "read_message": {"value": step_display.show_data(study.summary)},
            "networks_message": {"value": step_display.show_waiting("Looking for networks …")},
            "extract_message": {"value": ""},
            "extract_command": {"visible": False},
        }
        if study.summary.proposed_pattern and not values.get("patient_pattern"):
            shown["patient_pattern"] = {"value": study.summary.proposed_pattern}
            shown["more"] = {"open": True}
        yield shown

    @explained("networks")
    async def offer(
        self, study: PageStudy, key: str | None, values: Mapping[str, Any]
    ) -> AsyncIterator[Updates]:
        """Offer the networks that can be used, after the data set was read."""
        if study.summary is None:
            return
        listing = self._list_networks()
        while listing.is_running:
            await asyncio.sleep(_PAUSE)
        try:
            offered = listing.result()
        except BottleneckError:
            self._listing = None
            raise
        if self._policy == "commercial":
            offered = [one for one in offered if judge_licence(one.licence) == "commercial"]
        if not offered:  # Some may be fetched before the pictures are read again.
            self._listing = None
        study.networks = (*offered, _RANDOM)
        names = [(_describe(one), number) for number, one in enumerate(study.networks)]
        yield {
            "extract_group": {"visible": True},
            "network": {"choices": names, "value": 0},
            "networks_message": {"value": "" if offered else _describe_lack(self._policy)},
        }

    @explained("preview")
    async def preview(
        self, study: PageStudy, key: str | None, values: Mapping[str, Any]
    ) -> AsyncIterator[Updates]:
        """Show the patients that a pattern finds."""
        pattern = str(values.get("patient_pattern") or "").strip()
        if not pattern or study.summary is None:
            words = "Read the pictures first. Then this shows the patients." if pattern else ""
            yield {"preview": {"value": words and step_display.show_message(words)}}
            return
        choice = PatternChoice(pattern=pattern, sources=study.summary.sources)
        # A pattern may take longer than the age of the universe, and nothing interrupts it.
        process = StepProcess(study_steps.try_pattern, choice, grace=0.0)
        try:
            for _ in range(round(_PATTERN_LIMIT / _PAUSE)):
                if not process.is_running:
                    break
                await asyncio.sleep(_PAUSE)
        finally:
            process.cancel()
        try:
            yield {"preview": {"value": step_display.show_preview(process.result())}}
        except StepCancelledError:
            raise UsageError("the pattern takes too long: write a simpler one") from None

    @explained("extract")
    async def extract(
        self, study: PageStudy, key: str | None, values: Mapping[str, Any]
    ) -> AsyncIterator[Updates]:
        """Run the pictures through the network."""
        if study.data is None or study.summary is None:
            raise UsageError(_LOST)
        if values["network"] is None:
            raise UsageError("choose a network")
        network = study.networks[int(values["network"])]
        choice = ExtractChoice(
            data=study.data,
            backbone=network.backbone,
            weights=network.weights,
            output=self._settings.work_folder / "features",
            licence_policy=self._policy,
        )
        result: list[FeatureSummary] = []
        async for updates in self._run(
            study, key, "extract", study_steps.extract_features, choice, "Loading …", result
        ):
            yield updates
        if not result:
            return
        study.features, study.compared = result[0], None
        classes = list(study.summary.class_counts)
        yield {
            **ended("extract"),
            "extract_message": {"value": step_display.show_features(study.features)},
            "compare_group": {"visible": True},
            "compare_message": {"value": ""},
            "compare_command": {"visible": False},
            "positive": {"choices": classes, "value": study.summary.positive},
            "report_group": {"visible": False},
            "keep_group": {"visible": False},
        }

    @explained("compare")
    async def compare(
        self, study: PageStudy, key: str | None, values: Mapping[str, Any]
    ) -> AsyncIterator[Updates]:
        """Compare the heads, and show the report."""
        if study.features is None or study.summary is None:
            raise UsageError(_LOST)
        if not values["heads"]:
            raise UsageError("choose at least one classifier")
        if len(study.summary.class_counts) == 2 and not values["positive"]:
            raise UsageError("choose the positive class: the one to detect")
        sensitivity = values["at_sensitivity"]
        name = study.summary.name
        report = new_report_folder(self._settings.work_folder, name, self._reports)
        choice = CompareChoice(
            features=study.features.path,
            heads=tuple(values["heads"]),
            positive=values["positive"] or None,
            at_sensitivity=_SENSITIVITY if sensitivity is None else float(sensitivity),
            with_pictures=bool(values["with_pictures"]),
            output=report,
            licence_policy=self._policy,
        )
        result: list[ComparedHeads] = []
        self._reports.add(report)
        try:
            async for updates in self._run(
                study, key, "compare", study_steps.compare_heads, choice, "Loading …", result
            ):
                yield updates
        finally:
            self._reports.discard(report)
        if not result:
            return
        compared = result[0]
        study.choice, study.compared = choice, compared
        session = self._settings.sessions[key]
        page = (compared.report / "report.html").read_text("utf-8")
        archive = await asyncio.to_thread(archive_report, compared.report, session.folder)
        arms = [(f"{arm.head}: AUROC {arm.auroc:.3f}", arm.head) for arm in compared.arms]
        yield {
            **ended("compare"),
            "compare_message": {"value": step_display.show_message("The report is below.")},
            "report_group": {"visible": True},
            "report": {"value": step_display.show_report(page, compared)},
            "download": {"value": str(archive)},
            "keep_group": {"visible": bool(arms)},
            "arm": {"choices": arms, "value": arms[0][1] if arms else None},
            "keep_message": {"value": ""},
            "keep_command": {"visible": False},
        }

    @explained("keep")
    async def keep(
        self, study: PageStudy, key: str | None, values: Mapping[str, Any]
    ) -> AsyncIterator[Updates]:
        """Train the chosen head on all pictures, save it, and let it predict."""
        if study.compared is None or study.choice is None:
            raise UsageError(_LOST)
        arm = next((one for one in study.compared.arms if one.head == values["arm"]), None)
        if arm is None:
            raise UsageError("choose a classifier")
        choice = FitChoice(
            features=study.choice.features,
            head=arm.head,
            positive=study.compared.positive,
            at_sensitivity=arm.at_sensitivity,
            comparison=study.compared.report,
            output=self._settings.work_folder / "models",
            licence_policy=self._policy,
        )
        result: list[KeptModel] = []
        async for updates in self._run(
            study, key, "keep", study_steps.fit_model, choice, "Training …", result
        ):
            yield updates
        if not result:
            return
        try:
            name = await asyncio.to_thread(self._settings.models.add, result[0].path)
        except BottleneckError as error:
            saved = step_display.show_model(result[0], None)
            text = saved + step_display.show_error(str(error))
        else:
            text = step_display.show_model(result[0], name)
        yield {**ended("keep"), "keep_message": {"value": text}}

    def cancel(self, study: PageStudy) -> None:
        """End the running step of a page; what it finished is kept."""
        if study.running is not None:
            study.running.cancel()

    def _read_choice(self, values: Mapping[str, Any]) -> DataChoice:
        """Return the data set that the fields state; refuse paths outside the folders."""
        given = {
            name: str(values.get(name) or "").strip() or None for name in (*_COLUMNS, "images")
        }
        pattern = values.get("patient_pattern") or None
        source = str(values.get("source") or "").strip()
        if not source:
            raise UsageError("choose a folder of pictures, or a table")
        folders = self._settings.folders
        images = given.pop("images")
        return DataChoice(
            source=source if source == PHANTOM else str(folders.find(source)),
            allowed=folders.paths,
            images=None if images is None else str(folders.find(images)),
            patient_pattern=pattern,
            **given,
        )

    async def _run(
        self,
        study: PageStudy,
        key: str | None,
        name: str,
        step: Callable[..., Any],
        choice: object,
        waiting: str,
        result: list[Any],
    ) -> AsyncIterator[Updates]:
        """Run a step, yield how far it is, and append its result where it succeeds."""
        if study.running is not None:
            raise UsageError(_BUSY)
        session = self._settings.sessions[key]
        process = StepProcess(step, choice, stop=session.closed)
        study.running = process
        bar = step_display.ProgressView(waiting)
        shown = begun(name)
        if (command := getattr(choice, "command", None)) is not None:
            shown[f"{name}_command"] = {"value": command, "visible": True}
        try:
            while process.is_running:
                # The page may drop one of several updates in a moment: each has all that is new.
                text = bar.show(process.progress)
                if process.is_cancelled:
                    text = step_display.show_waiting("Cancelling …")
                yield {**shown, f"{name}_message": {"value": text}}
                await asyncio.sleep(_PAUSE)
                session.used = time.monotonic()  # The page is in use.
        finally:
            study.running = None
            process.cancel()
        try:
            result.append(process.result())
        except StepCancelledError:
            text = step_display.show_message(f"Cancelled. {_KEPT.get(name, '')}")
            yield {**ended(name), f"{name}_message": {"value": text}}

    def begin_listing(self) -> None:
        """Begin to list the networks, which takes a while, before they are needed."""
        self._list_networks()

    def _list_networks(self) -> StepProcess:
        """Return the step that lists the networks, for all pages; start it at first use."""
        if self._listing is None:
            weights = self._settings.weights
            file = WeightsChoice(file=None if weights is None else str(weights))
            self._listing = StepProcess(study_steps.list_networks, file)
        return self._listing


_BUSY = "another step of this page is running: wait, or cancel it"
_LOST = "this page has lost its earlier steps: read the pictures again"
_KEPT = {
    "extract": "The features that were computed are kept: start the step again for the others.",
    "compare": "The features are kept; the comparison begins again when you start it.",
    "keep": "The report is kept; the training begins again when you start it.",
}
_RANDOM = OfferedNetwork(backbone="resnet18", weights="random", weights_name="random", licence=None)


def _describe_lack(policy: LicencePolicy) -> str:
    which = "No weights" if policy == "any" else "No weights with a licence for commercial use"
    return step_display.show_error(
        f"{which} are on this machine. Fetch some in a terminal, and read the pictures again:\n"
        "bottleneck weights fetch resnet18"
    )


def _describe(network: OfferedNetwork) -> str:
    if network.weights == "random":
        return f"{network.backbone}, random weights (to try the steps: the figures mean nothing)"
    return f"{network.backbone}, weights {network.weights_name}, {licence_text(network.licence)}"
