"""The passages that people read: pages, templates, help texts and messages, with their lines."""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment
from markdown_it import MarkdownIt

# What stands for code, a number or a name that is filled in later.
PLACEHOLDER = "§"
INLINE_TAGS = r"</?(?:a|abbr|b|code|dfn|em|i|kbd|span|strong|sub|sup)\b[^>]*>"
TAGS = r"<[^>]*>"
# Directives of MyST that hold text, and not code or options.
PROSE_DIRECTIVES = {"admonition", "dropdown", "figure", "important", "note", "tip", "warning"}
# A string of fewer words is a key, a column or a name.
FEWEST_WORDS = 3


class Passage(NamedTuple):
    """A text that people read, with the place where it begins."""

    kind: str
    path: Path
    line: int
    text: str


def find_passages(root: Path, without: Sequence[str] = ()) -> Iterator[Passage]:
    """Yield the passages of all pages, templates and modules below `root`.

    Modules of ``without`` hold words of other languages than English in their strings.
    """
    for path in sorted(
        {*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("features/*.md")}
    ):
        if not {"_build", "_run"} & set(path.parts):
            yield from read_page(path, _kind_of_page(path.relative_to(root)))
    for path in sorted(root.glob("bottleneck/**/*.jinja")):
        yield from read_template(path)
    for path in sorted(root.glob("bottleneck/**/*.py")):
        if str(path.relative_to(root)) not in without:
            yield from read_module(path)


def _kind_of_page(path: Path) -> str:
    if path.parts[0] != "docs":
        return path.stem if path.parent == Path() else "docs"
    return "decisions" if "decisions" in path.parts else "docs"


def read_page(path: Path, kind: str) -> Iterator[Passage]:
    """Yield the paragraphs, headings and cells of a Markdown page, without its code."""
    text = path.read_text("utf-8")
    return _read_markdown(text, kind, path, 1)


def _read_markdown(text: str, kind: str, path: Path, first: int) -> Iterator[Passage]:
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.map is None:
            continue
        line = first + token.map[0]
        directive = re.match(r"\{([\w-]+)\}", token.info) if token.type == "fence" else None
        if directive and directive[1] in PROSE_DIRECTIVES:
            yield from _read_markdown(token.content, kind, path, line + 1)
        if token.type != "inline":
            continue
        text = "".join(
            PLACEHOLDER
            if child.type == "code_inline"
            else "\n"
            if child.type == "softbreak"
            else child.content
            if child.type == "text"
            else ""
            for child in token.children or []
        )
        # Colons begin and end a directive of MyST.
        text = re.sub(r"^:{3,}.*", "", text, flags=re.M)
        yield Passage(kind, path, line, text)


def read_template(path: Path) -> Iterator[Passage]:
    """Yield the texts of a Jinja template, and the sentences that it gives to macros."""
    page = ""
    for line, token, value in Environment().lex(path.read_text("utf-8")):
        if token == "string" and len(value.split()) >= FEWEST_WORDS:
            yield Passage("template", path, line, value[1:-1])
        if token == "data":
            page += value
        elif token.startswith("comment"):
            page += "\n" * value.count("\n")
        else:
            page += "\n" * value.count("\n")
            if token == "variable_begin":
                page += PLACEHOLDER
    page = re.sub(INLINE_TAGS, "", page)
    page = re.sub(TAGS, lambda tag: "\f" + "\n" * tag[0].count("\n"), page)
    line = 1
    for text in page.split("\f"):
        blank = len(text) - len(text.lstrip())
        if text.strip():
            yield Passage("template", path, line + text[:blank].count("\n"), text.strip())
        line += text.count("\n")


def read_module(path: Path) -> Iterator[Passage]:
    """Yield the help texts and messages of a module: its strings of three words and more."""
    module = ast.parse(path.read_text("utf-8"))
    docstrings = {id(node.body[0].value): node for node in ast.walk(module) if _has_docstring(node)}
    inside = {
        id(part)
        for node in ast.walk(module)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    helps = {id(part) for node in ast.walk(module) if _gives_help(node) for part in ast.walk(node)}
    for node in ast.walk(module):
        text = _text_of(node)
        if text is None or id(node) in inside or len(text.split()) < FEWEST_WORDS:
            continue
        owner = docstrings.get(id(node))
        if owner is not None and not _is_command(owner, path):
            continue
        kind = "help" if owner is not None or id(node) in helps else "message"
        yield Passage(kind, path, node.lineno, text)


def _has_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and bool(node.body)
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
    )


def _is_command(node: ast.AST, path: Path) -> bool:
    """Return whether a function is a command, whose docstring is its help.

    It has the name of its module, or it is a subcommand.
    """
    return isinstance(node, ast.FunctionDef) and (
        (path.parent.name == "cli" and node.name in {path.stem, f"{path.stem}_"})
        or any(
            isinstance(part, ast.Attribute) and part.attr == "command"
            for decorator in node.decorator_list
            for part in ast.walk(decorator)
        )
    )


def _gives_help(node: ast.AST) -> bool:
    if isinstance(node, ast.keyword):
        return node.arg in {"help", "description", "epilog", "short_help"}
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id.endswith("HELP") for target in node.targets
    )


def _text_of(node: ast.AST) -> str | None:
    """Return the text of a string, with a placeholder for each value in it."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if not isinstance(node, ast.JoinedStr):
        return None
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else PLACEHOLDER for part in node.values
    )
