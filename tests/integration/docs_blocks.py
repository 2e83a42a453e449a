"""The fenced blocks of README.md and docs/, each with a name."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(DOCS.glob("*.md")),
    *sorted(DOCS.glob("reference/*.md")),
]
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\S*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """What is between two fences; named by page, heading, and number if the heading has several."""

    page: str
    heading: str
    name: str
    language: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page, in order, but for those that only tell Sphinx what to put there."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    numbers: Counter[str] = Counter()
    for match in _FENCE.finditer(text):
        if match["language"].startswith("{"):
            continue
        # A comment in a block of commands looks like a heading.
        above = _FENCE.sub("", text[: match.start()])
        heading = re.findall(r"^#+ (.*)$", above, re.MULTILINE)[-1].partition(":")[0]
        numbers[heading] += 1
        number = f" ({numbers[heading]})" if numbers[heading] > 1 else ""
        found.append(
            Block(page.stem, heading, f"{page.stem}, {heading}{number}", match["language"], match["text"])
        )
    return found


BLOCKS = {block.name: block for page in PAGES for block in blocks_of(page)}
