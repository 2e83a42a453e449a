"""Claim files as factories make them: a grammar of headers, orders, separators, wrappers and damage, for Hypothesis.

Each file comes with what has to come out of its good rows. A cell that is no tag never begins with ``tag``.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from airflow_provider_nrfprov.emulator.mint import mint_devices

_DEVICES = list(mint_devices(5, seed="shapes"))
_NAMES = {
    "token": ["token", "Token", "claimToken", "claim_token", "attestationToken", "Attestation Token"],
    "tags": ["tags", "Tags", "tag", "provisioning_tags", "Provisioning groups"],
    "uuid": ["uuid", "deviceId", "device_id", "UUID"],
    "imei": ["imei", "IMEI"],
    "time": ["time", "Timestamp"],
    "serial": ["serial", "Serial no.", "Seriennummer", ""],
    "station": ["station", "Stückzahl", "Operator name"],
}
_VALUES = {
    "imei": ["352656106118683", "351358815340515", "None", ""],
    "time": ["2026-11-02T06:00:01.123456+00:00", "02.11.2026 06:00", "2026-11-02 06:00:01", "45963,25"],
    "serial": ["SN-0001", "notag-7", "", "3,5", "a;b", "é"],
    "station": ["7", "line 2", "notag"],
}
_TAGS: list[tuple[str, ...]] = [(), ("tag",), ("tag=1", "tag=2"), ("tag a", "tag-b", "tagé"), ("tag|x",)]
_DOCUMENTED = [["token"], ["token", "tags"], ["imei", "uuid", "token", "time"], ["imei", "uuid", "token"]]
_UNDOCUMENTED = [
    ["token", "imei"], ["token", "uuid"], ["token", "time"], ["imei", "token", "tags"], ["imei", "uuid", "token", "tags"],
    ["serial", "imei", "token", "station"], ["token", "tags", "serial"], ["serial", "imei", "station", "token", "tags"],
]  # fmt: skip
_BETWEEN = [
    "",
    " ",
    ",,;",
    "# a comment",
    "OK",
    "AT%ATTESTTOKEN",
    "-----BEGIN ATTESTATION TOKEN-----",
    "=== END ===",
]
_TITLES = ["Shift 7", "Report; of line 2", "sep=;", "#TYPE System.Object", ""]
_WRAPPERS = ['%ATTESTTOKEN: "{}"', "Attestation token: {}", "{}=", "\x1b[32m{}\x1b[0m", " {} ", "\ufeff{}"]


@dataclass(frozen=True)
class ShapedFile:
    """A file, and by line the token and tags of rows that must come out of it."""

    content: bytes
    expected: dict[int, tuple[str, tuple[str, ...]]]
    damaged: int | None
    """The number of a damaged line."""
    has_header: bool

    def may_be_sent(self, line: int, tag: str) -> bool:
        """Whether a tag of the row in that line can be one by the name of its column, or by a documented form."""
        if self.damaged is None or abs(line - self.damaged) > 2:
            return tag.startswith("tag")
        # Without a header, what is left of a damaged row may be of the documented form after all.
        return not (self.has_header and tag.startswith("notag"))


@st.composite
def shaped_files(draw: st.DrawFn) -> ShapedFile:
    """Make a file."""
    columns, has_header = draw(_forms())
    delimiter = draw(st.sampled_from([",", ";", "\t"]))
    lines: list[str] = []
    expected: dict[int, tuple[str, tuple[str, ...]]] = {}
    header = ""
    if has_header:
        header = delimiter.join(
            _quoted(draw(st.sampled_from(_NAMES[column])), delimiter) for column in columns
        )
        lines += [*draw(st.lists(st.sampled_from(_TITLES), max_size=2)), header]
    good = has_header or columns in _DOCUMENTED
    between = st.sampled_from([*_BETWEEN, header])
    for _ in range(draw(st.integers(1, 6))):
        if not draw(st.integers(0, 5)):
            lines.append(draw(between))
        line, token, tags = draw(_rows(columns, delimiter))
        if good:
            expected[len(lines) + 1] = token, tags
        lines += line.split("\n")
    damaged = draw(st.integers(0, 3 * len(lines)))
    is_damaged = damaged < len(lines) and len(lines[damaged]) > 2 and lines[damaged] != header
    if is_damaged:
        # What is in this line and in those that it may go on in is no longer known.
        expected = {line: row for line, row in expected.items() if abs(line - damaged - 1) > 2}
        lines[damaged] = draw(_damage(lines[damaged]))
        if "token" in lines[damaged].casefold():
            # It may be a header now, and name the columns of what follows.
            expected = {line: row for line, row in expected.items() if line <= damaged}
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    start = draw(st.sampled_from(["", "\ufeff"]))
    content = (start + end.join([*lines, ""])).encode("utf-8", "surrogateescape")
    return ShapedFile(content, expected, damaged + 1 if is_damaged else None, has_header)


@st.composite
def _forms(draw: st.DrawFn) -> tuple[list[str], bool]:
    if draw(st.booleans()):
        others = draw(
            st.lists(st.sampled_from([name for name in _NAMES if name != "token"]), unique=True, max_size=4)
        )
        return draw(st.permutations(["token", *others])), True
    return draw(st.sampled_from([*_DOCUMENTED, *_UNDOCUMENTED])), False


@st.composite
def _rows(draw: st.DrawFn, columns: list[str], delimiter: str) -> tuple[str, str, tuple[str, ...]]:
    device = draw(st.sampled_from(_DEVICES))
    tags = draw(st.sampled_from(_TAGS))
    cells = []
    for column in columns:
        if column == "token":
            wrapper = draw(st.sampled_from(["{}", "{}", "{}", *_WRAPPERS]))
            cells.append(wrapper.format(device.token))
        elif column == "uuid":
            cells.append(
                draw(st.sampled_from([device.device_id, device.device_id.upper(), _DEVICES[0].device_id]))
            )
        elif column == "tags":
            cells.append(draw(st.sampled_from([",", ", ", ",\n"])).join(tags))
        else:
            cells.append(draw(st.sampled_from(_VALUES[column])))
    blank = draw(st.sampled_from(["", "", " "]))
    always = draw(st.booleans())
    line = (delimiter + blank).join(_quoted(cell, delimiter, always=always) for cell in cells)
    return line, device.token, tags if "tags" in columns else ()


@st.composite
def _damage(draw: st.DrawFn, line: str) -> str:
    """Cut a piece out, put one in, or exchange it."""
    start = draw(st.integers(0, len(line) - 1))
    end = draw(st.integers(start, min(len(line), start + 40)))
    return (
        line[:start] + draw(st.sampled_from(["", "x", '"', ",", ";", "\x07", "\udcff", "token"])) + line[end:]
    )


def _quoted(cell: str, delimiter: str, *, always: bool = False) -> str:
    if always or delimiter in cell or '"' in cell or "\n" in cell:
        return '"' + cell.replace('"', '""') + '"'
    return cell
