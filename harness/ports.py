"""Ports of this machine: one that is free, or whether a certain one is, asked before anything is started on it."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


class PortInUseError(Exception):
    """Names the port, and what to set to use another."""


def require_free(port: int, what: str, variable: str) -> None:
    """Raise ``PortInUseError`` if nothing could listen on a port.

    :param what: what would listen there, as the sentence says it.
    :param variable: the variable of ``make`` that chooses another port.
    """
    with socket.socket() as probe:
        # As servers do, so that connections that are still being torn down do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            raise PortInUseError(
                f"Port {port} for {what} may not be used by this user; choose another with {variable}=."
            ) from None
        except OSError:
            another = port + 1 if port < 65535 else 8080
            raise PortInUseError(
                f"Port {port} for {what} is in use; choose another: make demo {variable}={another}."
            ) from None


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
