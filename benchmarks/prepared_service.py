"""A service that knows its answers beforehand, as a program: the bulk claim of today, each request as slow as told.

The emulator reads and checks each token of a request, on the cores of the program that is measured. This one has read the claim file before
anybody asks: a request is told from others by its first token. It claims nothing and remembers nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from email.utils import formatdate
from pathlib import Path

from airflow_provider_nrfprov.api.contract import MAX_ROWS_PER_REQUEST

_NO_SUCH_PATH = (404, b'{"message": "Not Found"}')
_EMPTY_LIST = (200, b'{"items": [], "total": 0}')


class Service:
    """The answers to the parts of one file, by the first token of each."""

    def __init__(self, claim_file: Path, seconds: float) -> None:
        self._seconds = seconds
        rows = [line.split(b",")[1:3] for line in claim_file.read_bytes().splitlines()]
        self._answers: dict[bytes, bytes] = {}
        for start in range(0, len(rows), MAX_ROWS_PER_REQUEST):
            ids = [device_id.decode() for device_id, _ in rows[start : start + MAX_ROWS_PER_REQUEST]]
            self._answers[rows[start][1]] = json.dumps({"claimedIds": ids, "failed": []}).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer request after request of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *fields = head.split(b"\r\n")
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (each.partition(b":") for each in fields)
                }
                body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
                await asyncio.sleep(self._seconds)
                status, answer = self._answer(first, body)
                writer.write(
                    b"HTTP/1.1 %d OK\r\nDate: %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                    % (status, formatdate(usegmt=True).encode(), len(answer), answer)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, first_line: bytes, body: bytes) -> tuple[int, bytes]:
        method, target, _ = first_line.split(b" ")
        path = target.partition(b"?")[0]
        if (method, path) == (b"POST", b"/v1/claimed-devices"):
            return 201, self._answers[body[: body.index(b"\n")].strip(b'"\r')]
        return _EMPTY_LIST if (method, path) == (b"GET", b"/v1/claimed-devices") else _NO_SUCH_PATH


async def _run(service: Service) -> None:
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Listen on a free port until terminated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("claim_file", type=Path)
    parser.add_argument("--seconds", type=float, default=0.5)
    arguments = parser.parse_args()
    asyncio.run(_run(Service(arguments.claim_file, arguments.seconds)))


if __name__ == "__main__":
    main()
