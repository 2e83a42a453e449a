"""Feeds every operation of the client mutated answers: `python -m reliability.fuzz_answers`.

Whatever a service, a proxy or a broken disk makes of an answer, an operation gives a result that can be written down and
compared, or raises an error of this provider: never another exception.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import json
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

from airflow_provider_nrfprov.api import operations
from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.contract import ENDPOINTS, base_urls
from airflow_provider_nrfprov.api.errors import NrfProvError, ServiceError
from airflow_provider_nrfprov.api.models import BulkOpsRequest
from airflow_provider_nrfprov.api.operations import Operation
from airflow_provider_nrfprov.api.retry import NEVER, nothing_was_done, retry_after
from airflow_provider_nrfprov.emulator.mint import mint_token
from harness.calls import Calls
from harness.small_server import QuietHandler, serving

DEVICE = "7b21b4bc-1cc9-41df-b05c-61b4605e5bb0"
TOKEN = mint_token(DEVICE)
BATCH = 2_500

_DEVICE = {
    "id": DEVICE, "deviceType": "nrf9160_SICA", "firmwareId": DEVICE, "imei": "351358815340515", "ownerId": DEVICE,
    "ownershipStatus": "IDENTIFIED", "tags": ["a", "b=c"], "status": "READY", "claimedAt": "2026-11-26T06:00:00.000Z",
}  # fmt: skip
_BULK_OPS = {
    "bulkOpsRequestId": "01GK0NECDEFGH", "endpoint": "CLAIM_DEVICE_OWNERSHIP", "status": "FAILED",
    "requestedAt": "2026-11-26T06:00:00.000Z", "completedAt": "2026-11-26T06:00:04.000Z", "uploadedDataUrl": "/1.csv",
    "errorSummaryUrl": "/1.json",
}  # fmt: skip
_COMMAND = {
    "id": "c1", "deviceId": DEVICE, "ruleId": None, "description": "x", "status": "SUCCEEDED",
    "request": {"finished": {}, "requestedAt": "2026-11-26T06:00:00.000Z"},
    "response": {"finished": {}, "respondedAt": "2026-11-26T06:00:00.000Z"},
}  # fmt: skip
_RULE = {
    "name": "r",
    "id": DEVICE,
    "tags": ["a"],
    "commands": [{"request": {"finished": {}}}],
    "status": "DRAFT",
}
_TAG = {"tag": "a", "id": DEVICE, "description": "x"}
_SUMMARY = {"errors": ["[0]: bad", "[3]: worse", 'x (1-based)]: {"m": [1, 2]}."']}


def _page(item: object) -> dict[str, object]:
    return {"items": [item, item], "pageNextToken": "next", "total": 2}


CASES: Sequence[tuple[Operation[Any], object]] = (
    (operations.claim_device(TOKEN), _DEVICE),
    (operations.dry_run_claim(TOKEN), {"code": 40900, "message": "claimed"}),
    (operations.bulk_claim(TOKEN), {"bulkOpsRequestId": "01GK0NECDEFGH"}),
    (operations.bulk_claim(TOKEN), {"claimedIds": [DEVICE], "failed": [{"row": 1, "claimToken": TOKEN, "message": "m"}, "[1]: x"]}),
    (operations.fetch_bulk_ops_request("x"), _BULK_OPS),
    (operations.list_bulk_ops_requests(), _page(_BULK_OPS)),
    (operations.list_claimed_devices(), _page(_DEVICE)),
    (operations.fetch_claimed_device(DEVICE), _DEVICE),
    (operations.set_device_tags(DEVICE, ["a"]), {}),
    (operations.block_device(DEVICE), {}),
    (operations.unblock_device(DEVICE), {}),
    (operations.unclaim_device(DEVICE), {}),
    (operations.list_tags(), _page(_TAG)),
    (operations.list_device_tags(DEVICE), _page(_TAG)),
    (operations.create_tag("a"), _TAG),
    (operations.update_tag("t", "a"), _TAG),
    (operations.delete_tag("t"), {}),
    (operations.create_command(DEVICE, {"finished": {}}), _COMMAND),
    (operations.list_commands(DEVICE), _page(_COMMAND)),
    (operations.fetch_command(DEVICE, "c1"), _COMMAND),
    (operations.list_rules(), _page(_RULE)),
    (operations.create_rule("r", [], []), _RULE),
)  # fmt: skip
"""Every operation with an answer that it understands."""

_STATUSES = (
    200,
    200,
    200,
    201,
    202,
    204,
    207,
    301,
    400,
    401,
    403,
    404,
    405,
    408,
    409,
    410,
    413,
    418,
    422,
    429,
    500,
    503,
    599,
)
_VALUES: Sequence[Any] = (
    None, True, False, 0, -1, 2**63, 10**30, 1.5, "", " ", "x", "now", "\ud800", "é\x00", "..", "[0]: x", DEVICE.upper(), TOKEN,
    "9999-12-31T23:59:59.999-14:00", "0001-01-01T00:00:00+14:00", "2026-02-30T00:00:00Z", "Missing Authentication Token",
    [], {}, [[]], [None], {"tag": "x"}, {"message": ["x"]}, ["a", 1], [{"id": None}],
)  # fmt: skip
_TEXTS = (
    b"",
    b"null",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"NaN",
    b"1" * 5_000,
    b"<html>",
    b"\xff\xfe[",
    b'"\\ud800"',
    b"{}",
    b"[]",
)
_WAITS = (
    "inf",
    "nan",
    "-1",
    "1764156000000",
    "Thu, 01 Jan 2099 00:00:00 GMT",
    "x",
    "1e999",
    "Fri, 31 Dec 9999 23:59:59 -2359",
)
_TYPES = (
    "application/json",
    "text/plain",
    "text/html",
    "application/json; charset=utf-16",
    "x; charset=idna",
    "x; charset=nonsense",
)


def mutated(chance: random.Random, answer: object) -> bytes:
    """Return an answer with one to four things wrong with it."""
    if chance.random() < 0.05:
        return chance.choice(_TEXTS)
    body = json.loads(json.dumps(answer))
    for _ in range(chance.randint(1, 3)):
        body = _with_other_value(chance, body)
    text = json.dumps(body, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    if chance.random() < 0.3:
        start = chance.randint(0, len(text))
        end = min(len(text), start + chance.randint(0, 9))
        text = text[:start] + chance.randbytes(chance.randint(0, 4)) + text[end:]
    return text


def _with_other_value(chance: random.Random, body: Any) -> Any:
    """Exchange, add or take out something at any depth."""
    if not isinstance(body, (dict, list)) or not body or chance.random() < 0.1:
        return copy.deepcopy(chance.choice(_VALUES))
    place = chance.choice(list(body) if isinstance(body, dict) else range(len(body)))
    if chance.random() < 0.1:
        del body[place]
    else:
        body[place] = _with_other_value(chance, body[place])
    return body


class _Scripted(QuietHandler):
    """Answers what it was told last; of a process there is one at a time."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    status: ClassVar[int]
    body: ClassVar[bytes]
    fields: ClassVar[dict[str, str]]
    """The headers of the answer."""

    def handle(self) -> None:
        # A client that has read enough closes the connection.
        with suppress(ConnectionError):
            super().handle()

    def answer_as_told(self) -> None:
        self.read()
        self.answer(self.status, b"" if self.status == 204 else self.body, self.fields)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer_as_told


def check_error(error: NrfProvError) -> None:
    """Assert all that has to hold of an error, whatever it came from."""
    assert TOKEN not in f"{error!s}{error!r}"
    str(error).encode()
    nothing_was_done(error)
    if isinstance(error, ServiceError):
        seconds = retry_after(error)
        assert seconds is None or 0 <= seconds <= 3600, seconds
        error.problem.message.encode()


def _result_of(call: Callable[[], Any]) -> str:
    try:
        result = call()
    except NrfProvError as error:
        check_error(error)
        return type(error).__name__
    # What is read can be written down and compared.
    repr(result).encode()
    for item in getattr(result, "items", (result,)):
        if hasattr(item, "as_dict"):
            json.dumps(item.as_dict(), ensure_ascii=False).encode()
        hash(getattr(item, "tags", ()))
    return "a result"


def run_batch(task: tuple[int, int]) -> Counter[str]:
    """Try a number of answers; the number is the seed, so that what is found can be found again."""
    number, examples = task
    chance, script, outcomes = random.Random(number), _Scripted, Counter[str]()
    with (
        serving(script) as url,
        ProvisioningClient("an-api-key-of-the-team", urls=base_urls(url), retry=NEVER) as client,
    ):
        service = Calls(client)
        summary = BulkOpsRequest("x", "FAILED", error_summary_url=f"{url}/1.json?signature=very-secret")
        calls: list[tuple[str, Callable[[], Any], object]] = [
            (operation.name, partial(client.send, operation), answer) for operation, answer in CASES
        ]
        calls.append(("download", partial(service.fetch_error_summary, summary), _SUMMARY))
        for each in range(examples):
            name, call, answer = calls[each % len(calls)]
            _set(script, chance, answer)
            try:
                outcomes[_result_of(call)] += 1
            except Exception as error:
                raise AssertionError(
                    f"seed {number}, example {each}, {name}: {script.status} {script.fields} {script.body[:500]!r}"
                ) from error
    return outcomes


def _set(script: type[_Scripted], chance: random.Random, answer: object) -> None:
    script.status, script.body = chance.choice(_STATUSES), mutated(chance, answer)
    script.fields = {"Content-Type": chance.choice(_TYPES)}
    if chance.random() < 0.2:
        script.fields["Retry-After"] = chance.choice(_WAITS)
    if chance.random() < 0.1:
        script.fields["Content-Encoding"] = "gzip"
        script.body = gzip.compress(script.body, 1) if chance.random() < 0.8 else script.body
    if chance.random() < 0.05:
        script.fields["Location"] = chance.choice(("/x", "//[", "https://" + "a" * 70, "\t"))


def main() -> None:
    """Run; print how many answers were tried and what came of them. What is found is raised, with its answer."""
    assert {operation.name for operation, _ in CASES} == set(ENDPOINTS)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=200_000)
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    arguments = parser.parse_args()
    examples = arguments.examples
    tasks = [(start // BATCH, min(BATCH, examples - start)) for start in range(0, examples, BATCH)]
    started, outcomes = time.monotonic(), Counter[str]()
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for number, counts in enumerate(pool.imap_unordered(run_batch, tasks), start=1):
            outcomes += counts
            if number % 8 == 0 or number == len(tasks):
                print(f"{outcomes.total()} answers, {time.monotonic() - started:.0f} s", flush=True)
    print(
        f"{outcomes.total()} mutated answers of {len(ENDPOINTS)} operations and of downloads, without a stray exception: "
        + ", ".join(f"{count} {name}" for name, count in outcomes.most_common())
    )


if __name__ == "__main__":
    main()
