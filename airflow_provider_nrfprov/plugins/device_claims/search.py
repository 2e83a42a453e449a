"""Finds a device in reports, by reading them: there is nothing to keep up to date. For a thread only."""

from __future__ import annotations

from io import BytesIO

from airflow_provider_nrfprov.plugins.device_claims.building import LINE, rows_of
from airflow_provider_nrfprov.plugins.device_claims.reports import Report, opened

SHORTEST = 4
"""Characters that have to be known of an IMEI, a serial number or a device id."""
MOST_IN_A_REPORT = 20
_BLOCK = 1 << 20
_NOT_A_DEVICE = {"line", "outcome", "status", "message", "bulk_ops_request_id"}


def find_device(report: Report, words: str) -> tuple[list[dict[str, str]], bool]:
    """Return the rows of which the device's id, or a column of the claim file, contains some words, as the file has them.

    :return: each by the names of the columns, at most :data:`MOST_IN_A_REPORT`; and whether there are more.
    """
    found: list[dict[str, str]] = []
    # One more says that there are more.
    most = MOST_IN_A_REPORT + 1
    pieces = {each.encode() for each in (words, words.lower(), words.upper())}
    with opened(report.path) as (stream, _, _):
        header = next(rows_of(stream.readline))
        rest = b""
        while block := stream.read(_BLOCK):
            whole, _, rest = (rest + block).rpartition(b"\n")
            # A line without an end is not one of a report.
            rest = rest[-LINE:]
            found += _rows_with(whole, pieces, words, header, most - len(found))
            if len(found) >= most:
                break
        else:
            found += _rows_with(rest, pieces, words, header, most - len(found))
    return found[:MOST_IN_A_REPORT], len(found) == most


def _rows_with(
    text: bytes, pieces: set[bytes], words: str, header: list[str], most: int
) -> list[dict[str, str]]:
    starts: set[int] = set()
    for piece in pieces:
        place = text.find(piece)
        while place >= 0 and len(starts) < 1_000:
            starts.add(text.rfind(b"\n", 0, place) + 1)
            line_end = text.find(b"\n", place)
            place = text.find(piece, line_end) if line_end >= 0 else -1
    rows = []
    for start in sorted(starts):
        end = text.find(b"\n", start)
        line = BytesIO(text[start : end if end >= 0 else None])
        row = dict(zip(header, next(rows_of(line.readline), []), strict=False))
        is_about = any(
            words.lower() in value.lower() for name, value in row.items() if name not in _NOT_A_DEVICE
        )
        if is_about and row != dict(zip(header, header, strict=False)):
            rows.append(row)
            if len(rows) >= most:
                break
    return rows
