"""A port that is taken is named, with the variable that chooses another."""

from __future__ import annotations

import socket

import pytest

from harness.ports import HOST, PortInUseError, free_port, require_free


def test_a_free_port_is_free_and_stays_so():
    port = free_port()
    require_free(port, "Airflow", "PORT")
    require_free(port, "Airflow", "PORT")


@pytest.mark.parametrize("address", [HOST, ""])
def test_a_port_in_use_is_named_with_a_way_out(address):
    with socket.socket() as server:
        server.bind((address, 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(PortInUseError) as error:
            require_free(port, "Airflow", "PORT")
    assert str(error.value) == (
        f"Port {port} for Airflow is in use; choose another: make demo PORT={port + 1}."
    )
