"""Check the texts that people read: proselint's checks and the project's own words."""

import argparse
import itertools
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from proselint.checks import __register__
from proselint.config import DEFAULT, Config
from proselint.registry import CheckRegistry
from proselint.registry.checks import Check, Padding, types
from proselint.registry.checks.engine import Fancy
from proselint.tools import LintFile

from prose.passages import Passage, find_passages

WORDS = Path(__file__).with_name("words.toml")
OWN = "words"
# A line between two passages, so that no phrase reaches from one into the next.
SEPARATOR = "\n\n—\n"


class Finding(NamedTuple):
    """A word or phrase to replace, with its place and the kind of its text."""

    kind: str
    path: Path
    line: int
    check: str
    message: str


def main() -> int:
    """Print the findings below a folder, or their numbers; return 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, nargs="?", default=Path())
    parser.add_argument("--counts", action="store_true", help="Print only the numbers of findings.")
    arguments = parser.parse_args()
    words = tomllib.loads(WORDS.read_text("utf-8"))
    passages = find_passages(arguments.root, words["passages"]["without"])
    findings = list(lint(passages, register_checks(words)))
    if arguments.counts:
        for (kind, check), count in sorted(Counter((f.kind, f.check) for f in findings).items()):
            print(f"{count:5}  {kind:12}  {check}")
    else:
        for finding in findings:
            place = f"{finding.path.relative_to(arguments.root)}:{finding.line}"
            print(f"{place}: {finding.message} ({finding.check})")
    print(f"{len(findings)} findings in the texts that people read.")
    return int(bool(findings))


def register_checks(words: dict[str, Any]) -> Config:
    """Give proselint its own checks and those of words.toml, and return which of them run."""
    message = "'{1}': write {0}."
    own = Check(
        check_type=types.PreferredForms(words["phrases"], padding=Padding.WORDS_IN_TEXT),
        engine=Fancy(),  # The other engine has no lookbehind.
        path=f"{OWN}.phrases",
        message=message,
    )
    spelling = Check(
        check_type=types.PreferredFormsSimple(words["spelling"], padding=Padding.WORDS_IN_TEXT),
        path=f"{OWN}.spelling",
        message=message,
    )
    CheckRegistry().checks[:] = [*__register__, own, spelling]
    without = dict.fromkeys(words["proselint"]["without"], False)
    checks = without | {key: on for key, on in DEFAULT["checks"].items() if key not in without}
    checks[OWN] = True
    return Config(max_errors=DEFAULT["max_errors"], checks=checks)


def lint(passages: Iterable[Passage], config: Config) -> Iterator[Finding]:
    """Yield the findings in passages, which are read file by file."""
    for (kind, path), group in itertools.groupby(passages, key=lambda p: (p.kind, p.path)):
        together = list(group)
        lines = [
            passage.line + offset
            for passage in together
            for offset in range(passage.text.count("\n") + 1 + SEPARATOR.count("\n") - 1)
        ]
        text = SEPARATOR.join(passage.text for passage in together)
        if not text:
            continue
        for result in LintFile(str(path), text).lint(config):
            # proselint puts an empty line before the text.
            line = lines[min(max(result.pos[0] - 1, 0), len(lines) - 1)]
            check, message = result.check_result.check_path, result.check_result.message
            yield Finding(kind, path, line, check, message)


if __name__ == "__main__":
    raise SystemExit(main())
