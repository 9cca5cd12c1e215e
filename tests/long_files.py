"""Write ``long_files.txt``: the test files that ``make test-fast`` leaves out.

    python tests/long_files.py times.xml

The argument is a file of ``pytest --junit-xml``, of a run of all tests on a quiet machine.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

CHECKOUT = Path(__file__).resolve().parents[1]
# Seconds that all tests of a file take together.
LIMIT = 1.0


def main() -> None:
    seconds = Counter[str]()
    for test in ElementTree.parse(sys.argv[1]).iter("testcase"):
        seconds[test.attrib["classname"].replace(".", "/") + ".py"] += float(test.attrib["time"])
    long = sorted(file for file, taken in seconds.items() if taken > LIMIT)
    text = "".join(f"--ignore={file}\n" for file in long if (CHECKOUT / file).exists())
    (CHECKOUT / "tests" / "long_files.txt").write_text(text)


if __name__ == "__main__":
    main()
