"""A certificate authority made on the spot, and a certificate of it: for an emulator that speaks TLS."""

from __future__ import annotations

import socket
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Tls(NamedTuple):
    """What a server needs for TLS, and the file that a client needs to believe it."""

    context: ssl.SSLContext
    ca_file: Path


@contextmanager
def temporary_tls(host: str) -> Iterator[Tls]:
    """Yield a certificate for an address, for localhost and for this machine's name; its CA file is removed afterwards.

    The private keys are in no file that stays, and the CA is used for nothing else.

    :raises ModuleNotFoundError: if trustme is not installed.
    """
    import trustme  # only here: an emulator without TLS needs none

    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    names = dict.fromkeys((host, "127.0.0.1", "localhost", socket.gethostname()))
    authority.issue_cert(*names).configure_cert(context)
    with tempfile.TemporaryDirectory(prefix="nrfprov-emulator-") as folder:
        ca_file = Path(folder, "ca.pem")
        authority.cert_pem.write_to_path(str(ca_file))
        yield Tls(context, ca_file)
