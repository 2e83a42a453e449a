"""An HTTP server for answers which the emulator never gives."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class QuietHandler(http.server.BaseHTTPRequestHandler):
    """Reads what it was sent, answers what it is told to, and prints nothing."""

    def read(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


def always(status: int, content: bytes, headers: dict[str, str] | None = None) -> type[QuietHandler]:
    """Return a server that sends every request the same answer, and notes each and its headers in ``asked``."""
    return in_turn((status, content, headers))


def in_turn(*answers: tuple[int, bytes, dict[str, str] | None]) -> type[QuietHandler]:
    """Return a server like that of ``always`` that gives these answers one after another, and the last for ever."""

    class Handler(QuietHandler):
        asked: ClassVar[list[tuple[str, dict[str, str]]]] = []

        def handle_all(self) -> None:
            self.read()
            self.asked.append((f"{self.command} {self.path}", dict(self.headers)))
            self.answer(*answers[min(len(self.asked), len(answers)) - 1])

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_all

    return Handler


@contextmanager
def serving(handler: type[QuietHandler]) -> Iterator[str]:
    """Yield the URL of a server, on a port that was free."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def answering(status: int, content: bytes, headers: dict[str, str] | None = None) -> Iterator[str]:
    """Yield the URL of a server that sends every request this answer."""
    with serving(always(status, content, headers)) as url:
        yield url
