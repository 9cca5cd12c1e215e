"""The page of the app: a notice that stays in view, and its tabs."""

from __future__ import annotations

from importlib import resources
from typing import Any

import gradio as gr
from fastapi import FastAPI

from bottleneck.app.app_settings import AppSettings
from bottleneck.app.page.page_templates import render
from bottleneck.app.predict.predict_tab import add_predict_tab
from bottleneck.app.study.study_tab import add_study_tab

__all__ = ["make_page", "mount_page"]

# In seconds: how often uploads that no page took are searched for, and how old they become.
_PAUSE, _OLDEST = 60, 3600
_MOST_WAITING = 20
_MOST_BYTES = "200mb"
_SANS = [
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Helvetica Neue",
    "Arial",
    "sans-serif",
]
_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]


def make_page(settings: AppSettings) -> gr.Blocks:
    """Return the page with its tabs.

    Parameters
    ----------
    settings : AppSettings
        What the app was started with.
    """
    with gr.Blocks(
        title="bottleneck", analytics_enabled=False, delete_cache=(_PAUSE, _OLDEST)
    ) as page:
        gr.HTML(render("notice"), elem_id="notice")
        with gr.Tabs():
            with gr.Tab("Predict") as predict_tab:
                add_predict_tab(settings, predict_tab)
            with gr.Tab("Study") as study_tab:
                add_study_tab(settings, study_tab)

        def close(request: gr.Request) -> None:
            settings.sessions.close(request.session_hash)

        page.unload(close)
    return page.queue(max_size=_MOST_WAITING, api_open=False)


def mount_page(settings: AppSettings, path: str) -> FastAPI:
    """Return the page as an application of a server: no share link, and no programming interface.

    Parameters
    ----------
    settings : AppSettings
        What the app was started with.
    path : str
        Its path.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    return gr.mount_gradio_app(
        app,
        make_page(settings),
        path,
        server_name="127.0.0.1",
        allowed_paths=[],
        max_file_size=_MOST_BYTES,
        show_error=False,
        footer_links=[],
        run_history=False,
        pwa=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=_theme(),
        css=resources.files("bottleneck.app.page")
        .joinpath("app_page.css")
        .read_text(encoding="utf-8"),
    )


def _theme() -> Any:
    """Return calm colours, and fonts that are on every machine."""
    return gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        radius_size="sm",
        font=_SANS,
        font_mono=_MONO,
    ).set(
        # The paler one of the theme is hard to read on white.
        body_text_color_subdued="*neutral_600",
    )
