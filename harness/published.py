"""What measuring programs share: a folder for the run, and a table in a document between two marker comments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def working_folder(keep: Path | None, prefix: str) -> Iterator[Path]:
    """Yield the folder that is kept, or one that is gone at the end."""
    with (
        nullcontext(keep) if keep else TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder
    ):
        yield Path(folder).resolve()


def write_section(path: Path, name: str, text: str) -> None:
    """Replace what is between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->`` of a file.

    :raises ValueError: if it does not have both.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found_begin, rest = path.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise ValueError(f"{path} does not have the lines {begin} and {end}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def publish(path: Path | None, name: str, *paragraphs: str) -> None:
    """Print the paragraphs of a section, and write them into a file if one is wanted."""
    text = "\n\n".join(paragraphs)
    print(text)
    if path:
        write_section(path, name, text)


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """Return the lines of a table: a column whose name begins with ``>`` is of numbers, set to the right."""
    names = list(columns)
    lines = [_line(name.removeprefix(">") for name in names)]
    lines.append(_line("---:" if name.startswith(">") else "---" for name in names))
    return lines + [
        _line(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row) for row in rows
    ]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
