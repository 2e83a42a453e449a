"""The copy of a claim file: nothing of it comes anywhere else."""

from __future__ import annotations

import gc

from airflow_provider_nrfprov.claiming.file_copy import FileCopy


def test_what_a_copy_still_holds_when_it_is_given_up_comes_into_no_other_file(tmp_path):
    copy = FileCopy()
    stream, number = copy.stream, copy.stream.fileno()
    stream.write(b"a claim token")
    copy.close()
    path = tmp_path / "another.txt"
    with path.open("w") as another:
        assert another.fileno() == number  # the system gives the lowest that is free
        del copy, stream
        gc.collect()
    assert path.read_text() == ""


def test_a_copy_that_nobody_closes_is_closed_when_it_is_dropped():
    copy = FileCopy()
    stream = copy.stream
    del copy
    gc.collect()
    assert stream.closed
