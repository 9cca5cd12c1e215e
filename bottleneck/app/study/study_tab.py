"""The tab that leads from a folder of pictures to a report and a model, without a terminal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from importlib import resources
from typing import Any

import gradio as gr

from bottleneck.app.app_settings import AppSettings
from bottleneck.app.study.offered_sources import list_sources
from bottleneck.app.study.page_study import Event, PageStudy
from bottleneck.app.study.study_events import StudyEvents
from bottleneck.heads.head_catalogue import HEADS

__all__ = ["add_study_tab"]

_INTRODUCTION = (
    "These steps lead from a folder of labelled pictures to a report on how well a frozen network "
    "and a classifier work on them. Below each step is the equivalent command. Keep this page "
    "open while a step runs."
)
_DEFAULT_HEADS = ["svm", "logistic", "mlp"]
# The baseline is in every comparison, and the last two are there to repeat work of 2018.
_LEFT_OUT = ("prior", "svm_2018", "linear_svc_2018")
_HEADS = [(f"{name}: {text}", name) for name, text in HEADS.items() if name not in _LEFT_OUT]


def add_study_tab(settings: AppSettings, tab: gr.Tab) -> None:
    """Add the components of the tab to the page that is being made.

    Parameters
    ----------
    settings : AppSettings
        What the app was started with.
    tab : Tab
        The tab, within which this is called.
    """
    events = StudyEvents(settings)
    css = resources.files("bottleneck.app.study").joinpath("study.css").read_text("utf-8")
    study = gr.State(PageStudy())
    components: dict[str, Any] = {}
    gr.HTML(f"<style>{css}</style><p>{_INTRODUCTION}</p>", elem_classes="study-introduction")
    _add_pictures(components, settings)
    _add_features(components)
    _add_comparison(components)
    _add_report(components)
    _add_model(components)

    def connect(trigger: Callable[..., Any], event: Event, **options: Any) -> Any:
        async def run(values: dict[Any, Any], request: gr.Request) -> AsyncIterator[dict[Any, Any]]:
            named = {name: values[part] for name, part in fields.items()}
            # Without any update, Gradio would empty all fields.
            yield {study: gr.skip()}
            async for updates in event(values[study], request.session_hash, named):
                yield {components[name]: gr.update(**update) for name, update in updates.items()}

        fields = {name: components[name] for name in _FIELDS}
        return trigger(
            run,
            inputs={study, *fields.values()},
            outputs=[study, *components.values()],
            show_progress="hidden",
            # Steps of several pages run side by side.
            concurrency_limit=None,
            **options,
        )

    # The list takes a while, and is ready when it is needed.
    tab.select(events.begin_listing)
    was_read = connect(components["read_run"].click, events.read)
    connect(was_read.then, events.offer)  # Another event: the pictures may be read again meanwhile.
    connect(components["patient_pattern"].change, events.preview, trigger_mode="always_last")
    connect(components["extract_run"].click, events.extract)
    connect(components["compare_run"].click, events.compare)
    connect(components["keep_run"].click, events.keep)
    for name in ("read", "extract", "compare", "keep"):
        components[f"{name}_cancel"].click(
            events.cancel, inputs=[study], show_progress="hidden", concurrency_limit=None
        )


_FIELDS = (
    "source",
    "path_column",
    "label_column",
    "patient_column",
    "images",
    "patient_pattern",
    "network",
    "heads",
    "positive",
    "at_sensitivity",
    "with_pictures",
    "arm",
)


def _add_pictures(components: dict[str, Any], settings: AppSettings) -> None:
    gr.Markdown("### 1. Pictures")
    components["source"] = gr.Dropdown(
        list_sources(settings.folders.paths),
        value=None,
        label="Folder with one subfolder per class, or table of pictures (CSV, Excel)",
        info="It must be inside the folders that the app was started with. You can also type a "
        "path.",
        allow_custom_value=True,
        elem_id="study-source",
    )
    with gr.Accordion("Patients and columns", open=False) as components["more"]:
        components["patient_pattern"] = gr.Textbox(
            label="Patient pattern (--patient-pattern)",
            info="Regular expression for the patient in the path of a picture, such as P\\d+. Not "
            "for tables with a column of patients.",
            elem_id="study-pattern",
        )
        components["preview"] = gr.HTML(elem_id="study-preview")
        with gr.Row():
            for role, words in (
                ("path", "the picture's path"),
                ("label", "the class"),
                ("patient", "the patient"),
            ):
                components[f"{role}_column"] = gr.Textbox(
                    label=f"Column of {words} (--{role}-column)",
                    info=f"Of a table; by default '{role}'.",
                    elem_id=f"study-{role}-column",
                )
        components["images"] = gr.Textbox(
            label="Folder of the pictures of a table (--images)",
            info="By default the table's own folder.",
            elem_id="study-images",
        )
    _add_buttons(components, "read", "Read the pictures")
    components["networks_message"] = gr.HTML(elem_id="study-networks-message")


def _add_features(components: dict[str, Any]) -> None:
    with gr.Column(visible=False) as components["extract_group"]:
        gr.Markdown("### 2. Features")
        components["network"] = gr.Dropdown(
            [],
            label="Frozen network",
            info="The networks whose weights are on this machine.",
            elem_id="study-network",
        )
        _add_buttons(components, "extract", "Extract features")


def _add_comparison(components: dict[str, Any]) -> None:
    with gr.Column(visible=False) as components["compare_group"]:
        gr.Markdown("### 3. Comparison")
        components["heads"] = gr.CheckboxGroup(
            _HEADS, value=_DEFAULT_HEADS, label="Classifiers", elem_id="study-heads"
        )
        with gr.Row():
            components["positive"] = gr.Dropdown(
                [],
                label="Positive class",
                info="The class to detect, such as malignant.",
                elem_id="study-positive",
            )
            components["at_sensitivity"] = gr.Number(
                value=0.9,
                minimum=0.01,
                maximum=0.99,
                step=0.01,
                label="Sensitivity of the threshold",
                info="Share of the positive class to detect, below 1.",
                elem_id="study-sensitivity",
            )
        components["with_pictures"] = gr.Checkbox(
            label="Show wrongly classified pictures in the report",
            info="Everyone who gets the report then sees pictures of patients.",
            elem_id="study-with-pictures",
        )
        _add_buttons(components, "compare", "Compare")


def _add_report(components: dict[str, Any]) -> None:
    with gr.Column(visible=False) as components["report_group"]:
        gr.Markdown("### 4. Report")
        components["download"] = gr.DownloadButton(
            "Download the report (zip)", size="md", elem_id="study-download"
        )
        components["report"] = gr.HTML(elem_id="study-report")


def _add_model(components: dict[str, Any]) -> None:
    with gr.Column(visible=False) as components["keep_group"]:
        gr.Markdown("### 5. Model")
        components["arm"] = gr.Dropdown(
            [],
            label="Classifier to train on all pictures",
            info="The model keeps the threshold and the figures of the comparison.",
            elem_id="study-arm",
        )
        _add_buttons(components, "keep", "Train and save")


def _add_buttons(components: dict[str, Any], name: str, words: str) -> None:
    """Add the button that starts a step, the one that cancels it, and what the step shows."""
    with gr.Row():
        components[f"{name}_run"] = gr.Button(
            words, variant="primary", scale=0, min_width=220, elem_id=f"study-{name}"
        )
        components[f"{name}_cancel"] = gr.Button(
            "Cancel",
            variant="stop",
            scale=0,
            min_width=120,
            visible=False,
            elem_id=f"study-{name}-cancel",
        )
    components[f"{name}_message"] = gr.HTML(elem_id=f"study-{name}-message")
    if name != "read":  # No command only reads.
        components[f"{name}_command"] = gr.Textbox(
            label="The same in a terminal",
            interactive=False,
            visible=False,
            lines=1,
            max_lines=6,
            buttons=["copy"],
            elem_classes="study-command",
            elem_id=f"study-{name}-command",
        )
