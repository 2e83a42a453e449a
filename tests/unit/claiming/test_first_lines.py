"""The first line of each device: the same answers as a dictionary gives, in a third of its memory."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nrfprov.claiming import first_lines
from airflow_provider_nrfprov.claiming.first_lines import FirstLines

ALIKE = st.binary(min_size=16, max_size=16).map(lambda some: bytes(byte % 2 for byte in some))
"""Devices whose bytes turn up within those of others, and from one record into the next."""
FEW = st.integers(0, 9).map(lambda number: number.to_bytes(16, "big"))
"""Devices that are there again and again."""


@pytest.fixture(
    params=[(1, 0), (8192, 0), (4, 7)], ids=["one part", "all parts", "some not packed"], scope="module"
)
def parts(request: pytest.FixtureRequest) -> object:
    """Let all devices be searched in one part, or in as many as there are, or some of them not be packed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first_lines, "_PARTS", request.param[0])
        patch.setattr(first_lines, "_NEWEST", request.param[1])
        yield request.param


@pytest.mark.usefixtures("parts")
@given(st.lists(FEW | ALIKE | st.binary(min_size=16, max_size=16), max_size=200))
def test_it_answers_as_a_dictionary(devices: list[bytes]) -> None:
    ours, known = FirstLines(), dict[bytes, int]()
    # Lines that are as their neighbours' bytes, too.
    for line, device in enumerate(devices, start=256):
        assert ours.get(device) == known.get(device)
        assert ours.setdefault(device, line) == known.setdefault(device, line)
    assert [ours.get(device) for device in known] == list(known.values())


@pytest.mark.usefixtures("parts")
@given(st.lists(st.lists(FEW | ALIKE | st.binary(min_size=16, max_size=16), max_size=9), max_size=30))
def test_blocks_are_added_up_to_what_was_met_before_and_are_found_again(drawn: list[list[bytes]]) -> None:
    ours, known, line = FirstLines(), dict[bytes, int](), 1
    blocks: dict[int, bytes] = {}
    for devices in drawn:
        taken = ours.add_block(line, b"".join(devices))
        assert all(device not in known for device in devices[:taken])
        assert len(set(devices[:taken])) == taken
        assert taken == len(devices) or devices[taken] in {*known, *devices[:taken]}
        for device in devices[:taken]:
            known[device] = line
            blocks[line] = device
            line += 1
        for device in devices[taken : taken + 1]:
            assert ours.setdefault(device, line) == known[device]
        line += 1
    assert [ours.get(device) for device in known] == list(known.values())
    for start in range(1, line + 1):
        here = ours.block_at(start, 3)
        assert here[:16] == blocks.get(start, b"")
        assert here == b"".join(blocks[each] for each in range(start, start + len(here) // 16))
        assert ours.has_read(start) == (start <= max(blocks, default=0))


@pytest.mark.usefixtures("parts")
def test_a_device_from_one_record_into_the_next_is_another() -> None:
    lines = FirstLines()
    lines.setdefault(bytes(range(16)), 0x10111213)
    lines.setdefault(b"\x07" * 16, 3)
    shifted = bytes(range(8, 16)) + (0x10111213).to_bytes(4, "big") + b"\x07" * 4
    assert lines.get(shifted) is None
    assert lines.setdefault(shifted, 4) == 4
    assert lines.get(shifted) == 4


def test_most_devices_of_a_long_file_take_a_third_of_a_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_lines, "_NEWEST", 10_000)
    monkeypatch.setattr(first_lines, "_PARTS", 1 << 13)  # in some orders, that of the fixture is still there
    count, rows = 200_000, 1_000
    blocks = [os.urandom(16 * rows) for _ in range(count // rows)]

    def taken(add: Callable[[int, bytes], object]) -> int:
        tracemalloc.start()
        try:
            for number, block in enumerate(blocks):
                add(number * rows, block)
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    plain: dict[bytes, int] = {}

    def add_plainly(line: int, block: bytes) -> None:
        plain.update((block[16 * row : 16 * row + 16], line + row) for row in range(rows))

    assert taken(FirstLines().add_block) < taken(add_plainly) / 3
