"""The tab that predicts the pictures which are dropped onto it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from bottleneck.app.app_settings import AppSettings
from bottleneck.app.page.page_templates import render
from bottleneck.app.predict.picture_predictions import (
    PredictedPictures,
    StoppedError,
    predict_pictures,
)
from bottleneck.app.predict.picture_views import render_model, render_picture, render_results
from bottleneck.app.session_files import Session
from bottleneck.errors import BottleneckError, UsageError

__all__ = ["add_predict_tab"]

_log = logging.getLogger(__name__)
# One prediction at a time: two would each take longer, and need the memory of both.
_GROUP = "models"
# Rows of the results are chosen by a click or with the keyboard.
_CHOOSE = """
element.addEventListener('click', event => {
  const row = event.target.closest('[data-row]');
  if (!row) return;
  element.querySelectorAll('[data-row]').forEach(one => one.removeAttribute('aria-current'));
  row.setAttribute('aria-current', 'true');
  trigger('select', {row: Number(row.dataset.row)});
});
"""


def add_predict_tab(settings: AppSettings, tab: gr.Tab) -> None:
    """Add what the tab shows, and what it does.

    Parameters
    ----------
    settings : AppSettings
        What the app was started with.
    tab : Tab
        The tab, within which this is called.
    """
    names = list(settings.models.names)
    first = names[0] if names else None
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=2, min_width=300):
            choice = gr.Dropdown(names, value=first, label="Model", interactive=True)
            drop = gr.File(
                label="Pictures or DICOM files",
                file_count="multiple",
                height=150,
                elem_id="drop",
            )
            one_patient = gr.Checkbox(
                label="All pictures are of one patient",
                info="Otherwise each is of another patient, unless DICOM names them.",
                visible=_predicts_patients(settings, first),
            )
            with_maps = gr.Checkbox(value=True, label="Heat maps", elem_id="maps")
            with gr.Row():
                stop = gr.Button("Stop", size="sm")
                delete = gr.Button("Delete pictures", size="sm")
            with gr.Accordion("About this model", open=False):
                about = gr.HTML(_describe(settings, first))
        with gr.Column(scale=5, min_width=320):
            results = gr.HTML(render("welcome", has_models=bool(names)), js_on_load=_CHOOSE)
            picture = gr.HTML()
    shown = [drop, results, picture]
    inputs = [choice, with_maps, one_patient]

    def run(
        session: Session, name: str | None, with_maps: bool, one_patient: bool, progress: Any
    ) -> Iterator[list[Any]]:
        if not session.files:
            yield [None, render("welcome", has_models=bool(settings.models.names)), ""]
            return
        if name is None:
            raise UsageError("there is no model to predict with: choose or train one first")
        session.stop.clear()
        session.shown = None
        yield [None, "", ""]
        move = functools.partial(_move, progress)
        made = predict_pictures(
            settings.models[name],
            session,
            session.files,
            of_one_patient=one_patient,
            progress=move,
        )
        session.shown = made
        yield [None, render_results(made), ""]
        if made.made is not None and len(made.made.predictions):
            yield [None, gr.skip(), _picture(settings, made, 0, with_maps, move)]

    def take(
        uploads: list[str],
        name: str | None,
        with_maps: bool,
        one_patient: bool,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 # Gradio finds it by its default.
    ) -> Iterator[list[Any]]:
        session = settings.sessions[request.session_hash]
        session.take(uploads)
        yield from run(session, name, with_maps, one_patient, progress)

    def repeat(
        name: str | None,
        with_maps: bool,
        one_patient: bool,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 # As above.
    ) -> Iterator[list[Any]]:
        session = settings.sessions[request.session_hash]
        yield from run(session, name, with_maps, one_patient, progress)

    def choose(
        with_maps: bool,
        event: gr.EventData,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 # As above.
    ) -> str:
        made = settings.sessions[request.session_hash].shown
        if not isinstance(made, PredictedPictures):
            raise UsageError("the pictures of this page were deleted: drop them again")
        row = int(event._data["row"])
        return _picture(settings, made, row, with_maps, functools.partial(_move, progress))

    def clear(request: gr.Request) -> list[Any]:
        session = settings.sessions[request.session_hash]
        session.stop.set()
        session.clear()
        return [None, render("welcome", has_models=bool(settings.models.names)), ""]

    def end(request: gr.Request) -> None:
        settings.sessions[request.session_hash].stop.set()

    def describe(name: str | None) -> list[Any]:
        visible = _predicts_patients(settings, name)
        return [_describe(settings, name), gr.update(visible=visible)]

    def list_models(name: str | None) -> Any:
        now = list(settings.models.names)
        return gr.update(choices=now, value=name or (now[0] if now else None))

    computed: dict[str, Any] = {
        "concurrency_id": _GROUP,
        "concurrency_limit": 1,
        "api_visibility": "private",
    }
    at_once: dict[str, Any] = {
        "concurrency_limit": None,
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    several = _each_as_sentence(lambda text: [None, text, ""])
    drop.upload(several(take), [drop, *inputs], shown, show_progress_on=results, **computed)
    choice.change(describe, [choice], [about, one_patient], **at_once)
    for changed in (choice.input, one_patient.input):
        changed(several(repeat), inputs, shown, show_progress_on=results, **computed)
    results.select(_as_sentence(choose), [with_maps], [picture], **computed)
    stop.click(end, **at_once)
    delete.click(clear, [], shown, **at_once)
    tab.select(list_models, [choice], [choice], **at_once)


def _predicts_patients(settings: AppSettings, name: str | None) -> bool:
    return name is not None and settings.models[name].predicts_patients


def _describe(settings: AppSettings, name: str | None) -> str:
    return "" if name is None else render_model(settings.models[name])


def _picture(
    settings: AppSettings,
    made: PredictedPictures,
    row: int,
    with_map: bool,
    move: Callable[[int, int, str], None],
) -> str:
    explained = made.explain(row, with_map=with_map, progress=move)
    return render_picture(made, row, explained, show_training_images=settings.show_training_images)


def _move(progress: Any, done: int, total: int, text: str) -> None:
    progress((done, max(total, 1)), desc=text, unit="")


def _say(error: Exception) -> str:
    """Return the HTML that shows an error."""
    if isinstance(error, StoppedError):
        return render("problem", title="Stopped", text="Drop the pictures again to go on.")
    if isinstance(error, BottleneckError):
        return render("problem", title="This did not work", text=str(error))
    _log.exception("an event of the app failed")
    return render(
        "problem",
        title="This did not work",
        text="This is an error in the program. The terminal in which the app was started shows "
        "the details: report them.",
    )


def _as_sentence(event: Callable[..., str]) -> Callable[..., str]:
    """Return an event whose errors are shown as sentences."""

    @functools.wraps(event)
    def told(*given: Any, **named: Any) -> str:
        try:
            return event(*given, **named)
        # Gradio would show the text of any other error as it is.
        except Exception as error:  # noqa: BLE001
            return _say(error)

    return told


def _each_as_sentence(
    outputs: Callable[[str], list[Any]],
) -> Callable[[Callable[..., Iterator[list[Any]]]], Callable[..., Iterator[list[Any]]]]:
    """Return the same for events that yield several outputs, of which one shows the error."""

    def decorate(event: Callable[..., Iterator[list[Any]]]) -> Callable[..., Iterator[list[Any]]]:
        @functools.wraps(event)
        def told(*given: Any, **named: Any) -> Iterator[list[Any]]:
            try:
                yield from event(*given, **named)
            except Exception as error:  # noqa: BLE001 # As above.
                yield outputs(_say(error))

        return told

    return decorate
