"""The checks of the texts that people read: which texts they read, and what they find in them."""

import re
import textwrap
import tomllib

import pytest

from prose.lint import WORDS, lint, register_checks
from prose.passages import find_passages

RULES = tomllib.loads(WORDS.read_text("utf-8"))


def written(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), "utf-8")
    return list(find_passages(root))


def test_help_messages_templates_and_pages_are_read_with_their_lines(tmp_path):
    found = written(
        tmp_path,
        {
            "README.md": """\
                # A title here

                Some words with `code in them`,
                and a [link](x.md).

                ```{note}
                A note for readers.
                ```

                :::{grid} 1 2 2
                A text in a grid.
                :::

                ```{code-cell} python
                print("A text of code")
                ```
                """,
            "docs/decisions/1.md": "| one | two |\n| --- | --- |\n| a b c | d |\n",
            "bottleneck/cli/fit.py": '''
                """A module."""
                NUMBERS = "a key"
                def fit(x=Option(help="The help of an option.")):
                    """Fit a head to features."""
                    raise ValueError(
                        f"the file {x} does not "
                        "exist: name another"
                    )
                def other():
                    """Say what only developers read."""
                ''',
            "bottleneck/report/templates/a.html.jinja": """
                {# a comment that no reader gets #}
                <p>Of {{ n }} <b>images</b>, all
                are shown.</p>{% if explained("a text for a macro") %}{% endif %}
                """,
        },
    )
    assert sorted((p.kind, p.path.name, p.line, " ".join(p.text.split())) for p in found) == [
        ("README", "README.md", 1, "A title here"),
        ("README", "README.md", 3, "Some words with §, and a link."),
        ("README", "README.md", 7, "A note for readers."),
        ("README", "README.md", 10, "A text in a grid."),
        ("decisions", "1.md", 1, "one"),
        ("decisions", "1.md", 1, "two"),
        ("decisions", "1.md", 3, "a b c"),
        ("decisions", "1.md", 3, "d"),
        ("help", "fit.py", 4, "The help of an option."),
        ("help", "fit.py", 5, "Fit a head to features."),
        ("message", "fit.py", 7, "the file § does not exist: name another"),
        ("template", "a.html.jinja", 3, "Of § images, all are shown."),
        ("template", "a.html.jinja", 4, "a text for a macro"),
    ]


def test_phrases_and_spellings_are_found_where_they_are(tmp_path):
    passages = written(
        tmp_path,
        {
            "README.md": "A sound line.\n\nIts color is\nheld against another.\n",
            "bottleneck/a.py": 'TEXT = "there is no image, so it is no error"\n',
        },
    )
    found = [(f.path.name, f.line, f.check) for f in lint(passages, register_checks(RULES))]
    assert found == [
        ("README.md", 3, "words.spelling"),
        ("README.md", 4, "words.phrases"),
        ("a.py", 1, "words.phrases"),
    ]


@pytest.mark.parametrize("phrase", RULES["phrases"])
def test_each_phrase_is_a_regular_expression_with_a_better_word(phrase):
    re.compile(phrase)
    assert RULES["phrases"][phrase]
