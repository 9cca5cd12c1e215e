"""Each block of the site is executed by its build or parsed here, and what pages name exists."""

from __future__ import annotations

import csv
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

import bottleneck
from bottleneck import statistics

CHECKOUT = Path(__file__).resolve().parents[1]
# Measurements under benchmarks/ are written by programs.
PAGES = {
    path.relative_to(CHECKOUT).as_posix(): path.read_text(encoding="utf-8")
    for pages in ("*.md", "docs/*.md", "docs/[a-z]*/**/*.md", "features/*.md", "examples/*/*.md")
    for path in sorted(CHECKOUT.glob(pages))
}
# Options of other programs: Ray, Slurm, and our benchmarks.
FOREIGN = {"--port", "--nodes", "--ntasks-per-node", "--exclude", "--block", "--full"} | {
    "--temp-dir",
    "--array",
    "--cpus-per-task",
    "--dest",
    "--exit-code",
    "--exit-status",
    "--extra-index-url",
    "--generate",
    "--gpus",
    "--gpus-per-node",
    "--include-dashboard",
    "--mem",
    "--network",
    "--node-ip-address",
    "--time",
}
RULE = """
A block is executed ({command-output}, {code-cell}, examples with >>>), a file that can be parsed
(toml, csv, yaml, json), a listing without commands (text), or a program that no build can run:
{code-block} with the line ':class: not-executed'."""
EXECUTED = {"command-output", "code-cell", "eval-rst"}
# Directives that hold no program.
OTHERS = {"figure", "glossary", "image", "literalinclude", "toctree"}
PARSERS = {"toml": tomllib.loads, "json": json.loads, "yaml": yaml.safe_load}


def find(pattern: str) -> list[tuple[str, str]]:
    return sorted({(page, m) for page, text in PAGES.items() for m in re.findall(pattern, text)})


def read_blocks(text: str) -> Iterator[Token]:
    """Return the blocks of a page, also those inside an admonition or a tab."""
    for token in MarkdownIt().parse(text):
        if token.type not in {"fence", "code_block"}:
            continue
        if re.match(r"{(?!code|command|eval|figure|glossary|image|literal|toctree)", token.info):
            yield from read_blocks(token.content)
        else:
            yield token


def divide(block: Token) -> tuple[str, str]:
    """Return the language of a block, or its directive, and what it holds without its options."""
    kind, _, argument = block.info.partition(" ")
    if not kind.startswith("{"):
        return kind, block.content
    if kind == "{code-block}":
        kind = "not-executed" if ":class: not-executed\n" in block.content else argument
    return kind.strip("{}"), re.sub(r"\A(:.*\n)+\n?", "", block.content)


@pytest.mark.parametrize("page", [page for page in PAGES if page != "README.md"])
def test_each_block_is_executed_or_parsed(page: str) -> None:
    for block in read_blocks(PAGES[page]):
        kind, body = divide(block)
        if kind in PARSERS:
            PARSERS[kind](body)
        elif kind == "csv":
            assert len({len(row) for row in csv.reader(body.splitlines())}) == 1, body
        elif kind == "text":
            assert not re.search(r"(?m)^(\$ |bottleneck |>>> )", body), RULE + body
        elif kind == "python":
            # tests/test_statistics_page.py runs them.
            assert body.startswith(">>> "), RULE + body
        else:
            assert kind in EXECUTED | OTHERS | {"not-executed"}, RULE + body


def read_spans(text: str) -> Iterator[str]:
    """Return what stands between backticks in the text and the tables of a page."""
    for token in MarkdownIt().enable("table").parse(text):
        for child in token.children or []:
            if child.type == "code_inline":
                yield child.content


def find_commands(text: str) -> Iterator[str]:
    """Return the ``bottleneck`` commands of a page that its build does not run."""
    for block in read_blocks(text):
        kind, body = divide(block)
        if kind in {"not-executed", ""}:
            for line in body.replace("\\\n", " ").splitlines():
                yield from re.findall(r"(?:^|&& |\$ |= )bottleneck ([a-z].*)", line)
    for span in read_spans(text):
        yield from re.findall(r"^(?:[A-Z_]+=\S+ )?bottleneck ([a-z].*)", span)


@cache
def main_command() -> typer.core.TyperGroup:
    from bottleneck.cli.command_line import app

    return typer.main.get_command(app)


def parse(command: str) -> None:
    """Parse a command as the command line does, without running it."""
    words = shlex.split(re.split(r" [|>&]", command)[0], comments=True)
    at, context = main_command(), None
    while hasattr(at, "commands") and words:
        name, *words = words
        at = at.commands[name]
        context = typer.Context(at, info_name=name, parent=context)
    _, unknown, _ = at.make_parser(context).parse_args(words)
    assert not unknown


@pytest.mark.parametrize("page", PAGES)
def test_scripts_can_be_parsed(page: str) -> None:
    for block in read_blocks(PAGES[page]):
        _, body = divide(block)
        if body.startswith("#!/bin/bash\n"):
            done = subprocess.run(["bash", "-n"], input=body, text=True, capture_output=True)
            assert not done.returncode, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_commands_have_the_options_that_the_page_names(page: str) -> None:
    for command in find_commands(PAGES[page]):
        try:
            parse(command)
        except Exception as error:  # Whatever it is, it is raised again with its command.
            error.add_note(f"bottleneck {command}")
            raise


def test_no_page_has_a_path_of_the_machine_that_wrote_it() -> None:
    # Measurements are written by programs, and what these print may hold warnings with paths.
    pages = [CHECKOUT / page for page in PAGES] + sorted((CHECKOUT / "benchmarks").glob("*.md"))
    path = re.compile(rf"{re.escape(str(CHECKOUT))}|{re.escape(sys.prefix)}|/(site|dist)-packages/")
    assert not [page.name for page in pages if path.search(page.read_text())]


def test_study_in_the_documentation_can_be_read(tmp_path: Path) -> None:
    from bottleneck.studies.study import read_study

    (text,) = re.findall(r"```toml\n(.*?)```", PAGES["docs/guide/reproduce.md"], re.DOTALL)
    (tmp_path / "mine.toml").write_text(text)
    assert len(read_study(tmp_path / "mine.toml").arms) == 3


def test_links_lead_to_files() -> None:
    for page, link in find(r"\]\((?!http)([^)#]+)"):
        assert ((CHECKOUT / page).parent / link).exists(), f"{page}: {link}"


def test_links_lead_to_headings() -> None:
    for page, link in find(r"\]\((?!http)([^)]*\.md#[^){]+|#[^){]+)\)"):
        path, _, anchor = link.partition("#")
        target = (CHECKOUT / page).parent / path if path else CHECKOUT / page
        headings = re.findall(r"(?m)^#+ (.*)$", target.read_text(encoding="utf-8"))
        anchors = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
        assert anchor in anchors, f"{page}: {link}"


def test_named_files_exist() -> None:
    for page, path in find(r"`((?:bottleneck|benchmarks|tests)/[\w/.]+)`"):
        assert (CHECKOUT / path).exists(), f"{page}: {path}"


def test_options_exist() -> None:
    commands = list(main_command().commands.values())
    commands += [c for group in commands for c in getattr(group, "commands", {}).values()]
    known = {"--help", "--version"} | {
        option
        for command in commands
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    # Commands of other programs.
    other = re.compile(r"(conda|docker|pip|podman|python\S*) ")
    for page, text in PAGES.items():
        spans = "\n".join(span for span in read_spans(text) if not other.match(span))
        used = re.findall(r"(?<![\w-])(--[a-z][a-z0-9-]*[a-z0-9])\b(?!-)", spans)
        assert set(used) <= known | FOREIGN, page


def test_tests_named_in_faults_exist() -> None:
    source = "\n".join(path.read_text() for path in (CHECKOUT / "tests").rglob("test_*.py"))
    text = PAGES["docs/reference/faults.md"]
    for name in re.findall(r"`(test_[a-z0-9_]+)(?:…)?`", text):
        assert f"def {name}" in source, name
    for path in re.findall(r"`((?:[a-z]+/)*test_\w+\.py)`", text):
        relative = path.removeprefix("tests/")
        tests = CHECKOUT / "tests"
        assert (tests / relative).exists() or (tests / "hostile" / relative).exists(), path


def test_the_api_reference_has_every_public_name() -> None:
    pages = (text for page, text in PAGES.items() if page.startswith("docs/reference/api/"))
    named = [name for text in pages for name in re.findall(r"(?m)^   (\w+)$", text)]
    public = {*bottleneck.__all__, *statistics.__all__} - {"__version__"}
    assert sorted(named) == sorted(public)


def test_the_page_of_commands_has_the_help_of_every_command() -> None:
    names = ["bottleneck"]
    for name, command in main_command().commands.items():
        names += [f"bottleneck {name}"]
        names += [f"bottleneck {name} {child}" for child in getattr(command, "commands", {})]
    page = PAGES["docs/reference/commands.md"]
    assert re.findall(r"(?m)^##+ (bottleneck.*)$", page) == names
    assert re.findall(r"(?m)^```{command-output} (.*) --help$", page) == names
