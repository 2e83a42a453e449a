"""The least that a bulk claim can be, as a bare program: cut the tokens out, post them, some requests at a time.

It checks nothing, remembers nothing and reports nothing. What it takes is what service, network and Python take.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import requests

from airflow_provider_nrfprov.api.contract import MAX_ROWS_PER_REQUEST
from harness.calls import API_KEY


def _pieces(claim_file: Path) -> Iterator[bytes]:
    with claim_file.open("rb") as stream:
        # imei,uuid,token,time
        tokens = (line.split(b",")[2] + b"\n" for line in stream)
        while piece := b"".join(islice(tokens, MAX_ROWS_PER_REQUEST)):
            yield piece


def main() -> None:
    """Claim a file; fails at the first answer that is no success."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("claim_file", type=Path)
    parser.add_argument("--max-in-flight", type=int, default=1)
    arguments = parser.parse_args()
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "text/csv"}
    with requests.Session() as session, ThreadPoolExecutor(arguments.max_in_flight) as pool:

        def post(piece: bytes) -> int:
            answer = session.post(f"{arguments.url}/v1/claimed-devices", piece, headers=headers, timeout=60)
            answer.raise_for_status()
            return len(answer.json()["claimedIds"])

        print(sum(pool.map(post, _pieces(arguments.claim_file))), "devices claimed")


if __name__ == "__main__":
    main()
