"""The command ``app``."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("gradio", reason="the extra app is not installed")

from bottleneck.cli.command_line import app


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.skops"], "missing.skops"),
        (["--folder", "missing"], "'missing' is not an existing folder"),
        (["--port", "0"], "the port must be"),
        (["--port", "65536"], "the port must be"),
        (["--licence-policy", "free"], "licence"),
    ],
)
def test_wrong_options_are_sentences(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    got = CliRunner().invoke(app, ["app", *words])
    assert got.exit_code == 2, got.output
    assert message in got.output


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        got = CliRunner().invoke(app, ["app", "--port", str(port)])
    assert got.exit_code == 2
    assert f"port {port} is in use" in got.output


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of Unix")
def test_ctrl_c_ends_the_app_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-m", "bottleneck_features", "app"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(url) as answer:
            assert answer.status == 200
        send = urllib.request.Request(f"{url}gradio_api/upload", method="POST")
        send.add_header("Content-Type", "multipart/form-data; boundary=x")
        send.data = (
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="scan.png"\r\n\r\n'
            b"picture\r\n--x--\r\n"
        )
        urllib.request.urlopen(send).close()
        assert [path.name for path in tmp_path.rglob("*.png")] == ["scan.png"]
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1]
    assert process.returncode == 130
    assert said.endswith("The pictures of all pages were deleted.\ninterrupted.\n")
    assert list(tmp_path.rglob("*.png")) == list(tmp_path.glob("bottleneck-*")) == []
