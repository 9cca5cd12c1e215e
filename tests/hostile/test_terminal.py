"""Names that would reach the terminal as commands to it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import regex
from hostile.names import HOSTILE
from hypothesis import example, given, settings
from PIL import Image
from rich.text import Text
from typer.testing import CliRunner

from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.inputs.preprocessing_presets import find_preprocessing
from bottleneck.cli.command_line import app
from bottleneck.cli.console import (
    progress,
    say,
    say_paragraph,
    show,
    show_json,
    show_paragraph,
    show_table,
)
from bottleneck.data.readers.tables.csv_tables import read_table
from bottleneck.errors import BottleneckError, UsageError
from bottleneck.report.terminal import make_table, wrap
from bottleneck.settings.config import read_configuration
from bottleneck.text.plain_text import json_text, visible
from bottleneck.text.table_text import frame_csv

# By another library: what no text that is shown may have.
HIDDEN = regex.compile(
    r"[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]"
)
# What rich itself sends to a terminal: colours, and the cursor of a progress bar.
OWN = re.compile(r"\x1b\[(?:[\d;]*m|2K|1A|\?25[hl])")


@contextlib.contextmanager
def terminal() -> Iterator[io.StringIO]:
    """Collect what is printed to a wide terminal with colours."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "6000")
        patch.setenv("FORCE_COLOR", "1")
        patch.setenv("TERM", "xterm-256color")
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            yield out


def assert_text_alone(printed: str, name: str, n_lines: int) -> None:
    rest = OWN.sub("", printed)
    assert HIDDEN.search(rest.replace("\n", "").replace("\r", "")) is None, ascii(rest)
    shown = re.findall("⟦(.*?)⟧", rest, re.DOTALL)
    assert shown
    assert set(shown) == {visible(name)}
    if n_lines:
        assert rest.count("\n") == n_lines


@given(HOSTILE)
@settings(max_examples=15)
@example("x\x1b[2K\x1b[1A")
@example("[/red]")
def test_names_are_text_in_every_output(name: str) -> None:
    # Without blanks, at which a paragraph is folded.
    name = re.sub(r"[ \\x\[]?[\s`']", "", name)
    for output in (say, show, say_paragraph, show_paragraph):
        with terminal() as out:
            output(f"⟦{name}⟧")
        assert_text_alone(out.getvalue(), name, 1)
    with terminal() as out:
        table = make_table(f"⟦{name}⟧", f"⟦{name}⟧", caption=f"⟦{name}⟧")
        table.add_column(f"⟦{visible(name)}⟧", no_wrap=True)  # Headings may have lines.
        table.add_row(f"⟦{name}⟧")
        table.add_row(Text("our own\ntwo lines"))
        show_table(table)
    assert_text_alone(out.getvalue(), name, 0)
    with terminal() as out, progress(quiet=False, unit="images") as move:
        move(0, 2, f"⟦{name}⟧")
        move(1, 2, f"⟦{name}⟧")
        say(f"⟦{name}⟧")
    assert_text_alone(out.getvalue(), name, 0)
    error = BottleneckError(f"⟦{name}⟧", f"  ⟦{name}⟧")
    assert_text_alone(str(error), name, 1)
    with terminal() as out:
        show_json({"name": name, name: [1.0, float("nan")]})
    assert out.getvalue().isascii()
    assert "\x7f" not in out.getvalue()
    assert json.loads(out.getvalue()) == {"name": name, name: [1.0, None]} or name == "name"


def test_bars_have_short_texts() -> None:
    with terminal() as out, progress(quiet=False, unit="") as move:
        move(0, 2, "a" * 100_000)
        move(2, 2, "a" * 100_000)
    assert max(map(len, re.findall("a+", out.getvalue()))) <= 300
    with terminal() as out:
        say_paragraph(f"error: {'a' * 10**6} is not a number")
    assert len(out.getvalue()) < 6000
    assert out.getvalue().endswith("is not a number\n")


def test_what_is_hidden_is_what_unicode_says() -> None:
    for code in range(sys.maxunicode + 1):
        assert HIDDEN.match(chr(code)) is None or visible(chr(code)) != chr(code), hex(code)
    assert visible("a" + "\u0301" * 4) == "a" + "\u0301" * 4
    assert visible("a" + "\u0301" * 6) == "a" + "\u0301" * 4 + "\\u0301" * 2
    for usual in ("Müller", "Mu\u0308ller", "図", "שָׁלוֹם", "किताबें", "한국", "العربية", "a b"):
        assert visible(usual) == usual


NAME = "a\x1b]0;t\x07[red]\u202eb\n\x9bc\udce9"


@pytest.mark.parametrize(
    "arguments",
    [
        [NAME],
        [f"--{NAME}"],
        ["compare", f"{NAME}.h5"],
        ["compare", "--repeats", NAME],
        ["extract", NAME, "--backbone", NAME],
        ["extract", "phantom", "--backbone", NAME],
        ["inspect", f"{NAME}.h5"],
        ["reproduce", NAME],
        ["weights", NAME],
        ["weights", "import", NAME],
    ],
)
def test_usage_errors_take_names_as_text(arguments: list[str]) -> None:
    shown = CliRunner().invoke(app, arguments, env={"FORCE_COLOR": "1"})
    assert shown.exit_code == 2
    assert HIDDEN.search(shown.output.replace("\n", "")) is None, ascii(shown.output)
    assert "error: " in shown.output
    assert "[red]" in shown.output or "--repeats" in arguments  # Not Unicode: nothing to quote.


def test_names_cannot_steer_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    say("left out: \x1b[2J\x1b]0;title\x07\u202egnp.a\udce9: damaged\nnext line", "further line")
    show("\x1b[31mred\u202e\udce9")
    said = capfd.readouterr()
    name = "\\x1b[2J\\x1b]0;title\\x07\\u202egnp.a\\udce9"
    assert said.err == f"left out: {name}: damaged\\x0anext line\nfurther line\n"
    assert said.out == "\\x1b[31mred\\u202e\\udce9\n"


def test_toml_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    for name in ("bottleneck.toml", "p.toml"):
        (tmp_path / name).write_text("x = " + "[" * 100_000)
    with pytest.raises(UsageError, match="cannot be read"):
        read_configuration(tmp_path)
    with pytest.raises(UsageError, match="cannot be read"):
        find_preprocessing(str(tmp_path / "p.toml"), find_encoder("resnet18"))


def test_words_commands_and_paths_are_not_broken() -> None:
    command = "`bottleneck extract 'my scans' --backbone resnet18 --weights radimagenet`"
    path = "features/of all the scans/phantom--resnet18--imagenet--avg--1a2b3c4d.h5"
    text = (
        f"the patients' names in {path} are those of others: make the features with {command}, "
        "or look into 'another  folder\tof\u2028yours'\n  and so on"
    )
    lines = wrap(text, whole=[path])
    assert lines.split("\n") == [
        "the patients' names in",
        f"{path} are",
        "those of others: make the features with",
        f"{command}, or",
        "look into 'another  folder\tof\u2028yours'",
        "  and so on",
    ]


def test_errors_are_folded_at_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = str(tmp_path / "my scans" / ("a" * 60) / "and others.h5")
    monkeypatch.setattr(sys, "argv", ["bottleneck", "inspect", name])
    shown = CliRunner().invoke(app, ["inspect", name]).stderr
    assert shown.split() == f"error: feature file {name} does not exist".split()
    assert name in shown
    shown = CliRunner().invoke(app, ["extract", "phantom", "--backbone", "vgg"]).stderr
    lines = shown[shown.index("error:") :].rstrip("\n").split("\n")
    assert len(lines) > 2
    assert max(map(len, lines)) <= 80


RUN = f"{sys.executable} -c 'from bottleneck_features import main; main()'"
# Started as a user would, with the standard streams of the case.
STREAMS = {
    "full": (f"{RUN} --version > /dev/full", 2, "No space left on device"),
    "closed": (f"{RUN} weights list >&-", 0, None),
    "closed with --json": (f"{RUN} weights list --json >&- 2>&- <&-", 0, None),
    "error is full": (f"{RUN} inspect no.h5 2> /dev/full", 2, None),
    "a pipe nobody reads": (f"set -o pipefail; {RUN} weights list | true", 141, None),
    "ascii": (f"PYTHONIOENCODING=ascii {RUN} weights list vgg16", 0, None),
}


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize(
    "case", ["full", *(pytest.param(c, marks=pytest.mark.slow) for c in STREAMS if c != "full")]
)
def test_a_standard_stream_that_fails(case: str, tmp_path: Path) -> None:
    command, code, message = STREAMS[case]
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, cwd=tmp_path, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if message is None:
        assert done.stderr == ""
    else:
        assert message in " ".join(done.stderr.split())
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("error") == 1


def run_in_terminal(arguments: list[str], folder: Path) -> tuple[int, str]:
    """Run the command in a pseudo-terminal; return its exit code and what it printed."""
    import fcntl
    import pty
    import struct
    import termios

    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 300, 0, 0))
    start = "import sys; from bottleneck_features import main; sys.argv[0] = 'bottleneck'; main()"
    with subprocess.Popen(
        [sys.executable, "-c", start, *arguments],
        cwd=folder,
        stdin=its,
        stdout=its,
        stderr=its,
        env={**os.environ, "TERM": "xterm-256color"},
    ) as running:
        os.close(its)
        printed = b""
        with contextlib.suppress(OSError):  # Linux reports the end as an error.
            while part := os.read(ours, 65536):
                printed += part
    os.close(ours)
    return running.returncode, printed.decode(errors="surrogateescape")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_no_command_prints_a_name_as_it_is(tmp_path: Path) -> None:
    bad = "[red]x[bold\x1b[2J\x1b]0;t\x07\x1b]52;c;QQ==\x07\u202egnp\x9b31m:smile:"
    data = tmp_path / f"data {bad}"
    noise = np.random.default_rng(0)
    for label in ("a[bold]", "b|c @=1"):
        (data / label).mkdir(parents=True)
        for n in range(12):
            pixels = noise.integers(0, 255, (48, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(data / label / f"=P{n}\x1b[5m\u202e\u200b@{n}.png")
        (data / label / f"P7 damaged{bad}.png").write_bytes(b"\x89PNG\r\n\x1a\nxx")
    reading = ["--patient-pattern", r"(P\d+)", "--positive", "a[bold]"]
    network = ["--backbone", "resnet18", "--weights", "random"]
    features = Path("features") / f"{bad}.h5"

    def check(*arguments: str, code: int = 0) -> str:
        done, printed = run_in_terminal(list(arguments), tmp_path)
        rest = re.sub("[\r\n]", "", OWN.sub("", printed))
        assert HIDDEN.search(rest) is None, ascii(printed)
        assert done == code, printed
        assert "Traceback" not in printed
        return rest

    assert "=P" not in check("extract", data.name, *network, *reading)
    (written,) = (tmp_path / "features").glob("*.h5")
    written.rename(tmp_path / features)
    assert "[red]x[bold" in check("inspect", str(features))
    check("audit", str(features), "--data", data.name, "--with-ids")
    check("fit", str(features), "--head", "logistic", "--positive", "a[bold]")
    (model,) = (tmp_path / "models").glob("*.skops")
    check("inspect", str(model))
    compare = ["compare", str(features), "--head", "logistic", "--positive", "a[bold]"]
    folds = ["--folds", "2", "--with-ids", "--output", f"report{bad}"]
    check(*compare, *folds)
    check(*compare, *folds, code=2)
    theirs = tmp_path / f"theirs{bad}.csv"
    frame, _ = read_table(tmp_path / f"report{bad}" / "predictions.csv")
    own = frame[frame["arm"] == frame["arm"].iloc[0]].drop(columns="arm")
    theirs.write_bytes(frame_csv(own).encode())
    check(*compare, "--predictions", theirs.name, "--output", "again")
    training = ["--epochs", "1", "--folds", "2", "--output", f"trained{bad}"]
    check("finetune", data.name, *network, *reading, *training)
    again = ["--predictions", f"x{bad.replace('=', '')}=trained{bad}", "--output", "third"]
    check(*compare, *again)
    for table in [*tmp_path.rglob("*.csv"), *tmp_path.rglob("*.md")]:
        text = table.read_text(encoding="utf-8").removeprefix("\ufeff")
        assert HIDDEN.search(text.replace("\n", "")) is None, table


OTHER_CODE = """
import logging, sys, threading, warnings
from bottleneck.cli.streams import open_streams
open_streams()
name = sys.argv[1].encode().decode("unicode_escape")
warnings.warn(f"warned {name}")
logging.warning("logged %s", name)
print(f"printed {name}", file=sys.stderr)
print(f"50 %\\r100 % {name}", end="", file=sys.stderr, flush=True)
class Broken:
    def __del__(self):
        raise ValueError(f"ignored {name}")
Broken()
thread = threading.Thread(target=lambda: int(name))
thread.start()
thread.join()
raise ValueError(f"raised {name}")
"""


def test_what_other_code_prints_is_text() -> None:
    name = "x\x1b]0;t\x07\x9b5m\u202e"
    done = subprocess.run(
        [sys.executable, "-c", OTHER_CODE, ascii(name)[1:-1]], capture_output=True, check=False
    )
    printed = done.stderr.decode()
    assert HIDDEN.search(re.sub("[\n\r]", "", printed)) is None, ascii(printed)
    for word in ("warned", "logged", "printed", "50 %\r100 %", "ignored", "raised"):
        assert f"{word} {visible(name)}" in printed
    assert "in <lambda>" in printed


@given(HOSTILE)
def test_json_files_hide_nothing(name: str) -> None:
    text = json_text({"name": name, f" {name}": [name]})
    assert HIDDEN.search(text.replace("\n", "")) is None
    assert json.loads(text) == {"name": name, f" {name}": [name]}


def test_characters_that_an_output_lacks_become_others() -> None:
    from bottleneck.text.plain_text import READABLE

    for encoding in ("ascii", "latin-1", "cp1252", "cp437", "shift_jis"):
        shown = "→ – … ± × † 図\udce9 é".encode(encoding, READABLE).decode(encoding)
        assert shown.startswith("-" if encoding == "ascii" else shown[0])
        assert "?" not in shown
    assert "→ 0.5 ± 0.1 † 図\udce9".encode("ascii", READABLE) == b"-> 0.5 +/- 0.1 * \\u56f3\\udce9"
