"""A report as HTML. Everything that comes from a report or a request is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from airflow_provider_nrfprov.plugins.report_file import ReportView

_STYLE = (
    ":root{color-scheme:light dark}body{font:14px/1.4 system-ui,sans-serif;margin:2rem}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #8888;padding:.2rem .6rem;text-align:left}"
    "td{font-variant-numeric:tabular-nums}"
)


def page(title: str, *parts: str) -> str:
    """Return a whole page; ``parts`` are HTML, ``title`` is text."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{''.join(parts)}</body></html>"
    )


def paragraph(text: str) -> str:
    """Return a paragraph of text."""
    return f"<p>{escape(text)}</p>"


def report_page(view: ReportView, *, title: str, download: str) -> str:
    """Return the page of a report: counts, where it lies, and the rows to look at.

    :param download: address of the CSV.
    """
    total = sum(view.counts.values())
    counts = [(outcome.replace("_", " "), f"{count:,}") for outcome, count in view.counts.most_common()]
    parts = [
        _table(("outcome", "rows"), [*counts, ("all", f"{total:,}")]),
        f'<p><a href="{escape(download)}">report.csv</a> lies at <code>{escape(view.path)}</code></p>',
    ]
    if view.not_well:
        shown = "" if len(view.rows) == view.not_well else f", the first {len(view.rows):,} of them"
        parts += [
            f"<h2>{view.not_well:,} to look at{shown}</h2>",
            _table(view.columns, view.rows),
        ]
    else:
        parts.append(paragraph("There is none to look at: every row or device ended as it should."))
    return page(title, *parts)


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
