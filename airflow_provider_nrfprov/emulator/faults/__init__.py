"""What can go wrong with a request, as data: each kind of fault is a small frozen dataclass.

None of these is a fact about Nordic's service. They are what any service behind a network may do.
``Faults.plan`` and ``Faults.schedule`` (module ``plans``) choose which requests meet them.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from airflow_provider_nrfprov.emulator.settings import OPERATION_NAMES

ANY = "*"
"""In a plan, in place of the name of an operation: requests for any of them."""

Page = Literal["json", "html", "empty"]
"""The body of an answer that is an error: a JSON object, an HTML page as of a proxy, or nothing."""

_STRICT = ConfigDict(strict=True, extra="forbid")
_ErrorStatus = Annotated[int, Field(ge=400, le=599)]
_Seconds = Annotated[float, Field(ge=0, le=3600)]
_Count = Annotated[int, Field(ge=0, le=1000)]


@dataclass(frozen=True, config=_STRICT)
class Fault:
    """One kind of fault. ``only_on`` names the operations that it makes sense for; empty for all."""

    only_on: ClassVar[frozenset[str]] = frozenset()

    def fits(self, operation: str) -> bool:
        """Whether a request for this operation can meet the fault."""
        return not self.only_on or operation in self.only_on

    def as_json(self) -> dict[str, Any]:
        """Return ``{"kind": …}`` and the fields, as the side door takes and shows them."""
        return {"kind": type(self).__name__, **asdict(self)}


@dataclass(frozen=True, config=_STRICT)
class Refuse(Fault):
    """Nothing is done, and the answer is an error.

    :param status: from 400 to 599.
    :param body: ``json``, ``html`` or ``empty``.
    :param retry_after: whole seconds for a ``Retry-After`` header, or None for no header.
    :param retry_after_form: ``seconds``, or ``date`` for the HTTP date that number of seconds ahead of the real
        time (below 0: a date that is over).
    :raises ValueError: for any other value, here and in every other fault.
    """

    status: _ErrorStatus = 503
    body: Page = "json"
    retry_after: int | None = None
    retry_after_form: Literal["seconds", "date"] = "seconds"

    def __post_init__(self) -> None:
        if self.retry_after_form == "seconds" and (self.retry_after or 0) < 0:
            raise ValueError("retry_after in seconds is not below 0")


@dataclass(frozen=True, config=_STRICT)
class DropBefore(Fault):
    """Nothing is done, and the connection closes without a byte of an answer."""


@dataclass(frozen=True, config=_STRICT)
class DropAfter(Fault):
    """All is done, and the connection closes without a byte of an answer.

    The decisive fault: to a client it looks just as ``DropBefore``.
    """


@dataclass(frozen=True, config=_STRICT)
class FailAfter(Fault):
    """All is done, and the answer is an error all the same.

    :param status: from 400 to 599: a gateway says 500, 502, 503, 504 or 408 when the service behind it took too long.
    """

    status: _ErrorStatus = 500
    body: Page = "json"


@dataclass(frozen=True, config=_STRICT)
class RedirectAfter(Fault):
    """All is done, and the answer is a redirect to the same path and query below ``/moved`` on this host.

    There everything is served as it is here. So a client that follows a 307 or 308 with its POST does it
    again, and one that makes a GET of it takes a list for its answer.

    :param status: 301, 302, 307 or 308.
    """

    status: Literal[301, 302, 307, 308] = 307


@dataclass(frozen=True, config=_STRICT)
class Twice(Fault):
    """A proxy repeats the request: it is carried out twice, and the second answer is sent.

    Of a claim, that second answer refuses what the first one did.
    """

    only_on = frozenset(
        name for name in OPERATION_NAMES if not name.startswith(("Fetch", "List", "Download"))
    )


@dataclass(frozen=True, config=_STRICT)
class LaggingList(Fault):
    """A list shows what was true some seconds ago, by the service's clock. A device or operation by its id is current.

    ``Settings.list_lag_seconds`` does the same to every list.
    """

    only_on = frozenset({"ListClaimedDevices", "ListBulkOpsRequests", "ListDevices"})
    seconds: _Seconds = 5.0


@dataclass(frozen=True, config=_STRICT)
class WrongDownload(Fault):
    """A file of a bulk operation is answered with 200 and something else.

    :param content: ``empty``, nothing; ``half``, the first half of its rows; ``json``, an object that is no such
        file; ``html``, a page; ``other``, the same file of another operation, one of devices that nobody sent
        if there is no other.
    """

    only_on = frozenset({"DownloadBulkOpsData"})
    content: Literal["empty", "half", "json", "html", "other"] = "half"


@dataclass(frozen=True, config=_STRICT)
class Words(Fault):
    """A refusal, or the failed rows of a claim, have a message that is hard to write down. Else nothing happens.

    On ``BulkClaimDeviceOwnership``, the rows in the error summary of the operation too.
    ``Settings.refusal_words`` does the same to every message; ``HARD_WORDS`` has some.
    """

    text: str = "=cmd|' /C calc'!A0"


@dataclass(frozen=True, config=_STRICT)
class TruncateAfter(Fault):
    """All is done, and the connection closes in the middle of the body, short of its Content-Length.

    An answer that has no body breaks off before its first byte.

    :param keep: which part of the body is sent, from 0 to below 1.
    """

    keep: Annotated[float, Field(ge=0, lt=1)] = 0.5


@dataclass(frozen=True, config=_STRICT)
class HtmlBefore(Fault):
    """Nothing is done, and the answer is 200 with an HTML page, as of a login page in between.

    To a client it looks just as ``HtmlAfter``.
    """


@dataclass(frozen=True, config=_STRICT)
class HtmlAfter(Fault):
    """All is done, and the answer is 200 with an HTML page, as of a login page in between."""


@dataclass(frozen=True, config=_STRICT)
class Slow(Fault):
    """The answer takes its time: a number of (real) seconds before anything is done, and after it.

    It is done even if the client has given up by then, as a real service would; not if the
    emulator was reset or taken down meanwhile.
    """

    before: _Seconds = 0.0
    after: _Seconds = 0.0


@dataclass(frozen=True, config=_STRICT)
class ExtraFields(Fault):
    """Every JSON object of the answer has one field more, of a name that nobody knows."""


@dataclass(frozen=True, config=_STRICT)
class OddStatus(Fault):
    """A bulk operation is shown with a status that nobody knows; for a while, if planned for several requests."""

    only_on = frozenset({"FetchBulkOpsRequest", "ListBulkOpsRequests", "FetchBulkCreation"})
    word: Annotated[str, Field(min_length=1)] = "QUEUED"


@dataclass(frozen=True, config=_STRICT)
class WrongClaimedIds(Fault):
    """A CSV claim is done, and its ``claimedIds`` are wrong.

    :param omit: how many of the claimed devices are left out, the first ones (``failed`` stays as it is).
    :param invent: how many UUIDs are added that nobody sent.
    """

    only_on = frozenset({"ClaimDeviceOwnershipCsv"})
    omit: _Count = 1
    invent: _Count = 0


@dataclass(frozen=True, config=_STRICT)
class StuckOperation(Fault):
    """The bulk operation that the request starts does not end until ``Service.release_operations``.

    :param rows_applied: whether its rows are applied at the usual time all the same, and it only goes
        on to look unfinished; else they are applied when it is released.
    """

    only_on = frozenset({"BulkClaimDeviceOwnership", "CreateDevicesInBulk"})
    rows_applied: bool = False


@dataclass(frozen=True, config=_STRICT)
class FalseFailure(Fault):
    """The bulk operation that the request starts is said to have FAILED although all its rows were claimed.

    An operation that really fails stays as it is.

    :param summary: what is behind its ``errorSummaryUrl``: ``empty``, a list of no errors; ``all``, an error
        for every row; ``missing``, nothing: 404.
    """

    only_on = frozenset({"BulkClaimDeviceOwnership", "CreateDevicesInBulk"})
    summary: Literal["empty", "all", "missing"] = "empty"


def from_json(body: Any) -> Fault:
    """Return the fault that ``as_json`` wrote; fields may miss. Raise ``ValueError`` for anything else."""
    if not isinstance(body, dict) or not isinstance(body.get("kind"), str) or body["kind"] not in KINDS:
        raise ValueError(f"a fault is an object whose kind is one of {', '.join(KINDS)}")
    given = {name: value for name, value in body.items() if name != "kind"}
    try:
        return KINDS[body["kind"]](**given)
    except ValidationError as error:
        (problem, *_) = error.errors()
        place = "".join(f" {part}:" for part in problem["loc"])
        raise ValueError(f"{body['kind']}:{place} {problem['msg']}") from None


KINDS: dict[str, type[Fault]] = {kind.__name__: kind for kind in Fault.__subclasses__()}
"""Every kind by its name."""

RECOVERABLE: tuple[Fault, ...] = (
    Refuse(429, retry_after=0),
    Refuse(429, retry_after=0, retry_after_form="date"),
    Refuse(500),
    Refuse(502, body="html"),
    Refuse(503, body="empty"),
    DropBefore(),
    DropAfter(),
    FailAfter(500),
    FailAfter(502, body="html"),
    FailAfter(504, body="empty"),
    TruncateAfter(),
    HtmlAfter(),
    Slow(before=0.01, after=0.01),
    ExtraFields(),
)
"""Faults that a client can live through without a lie in any answer: what a schedule takes by default."""

DECEPTIVE: tuple[Fault, ...] = (
    FailAfter(503),
    FailAfter(503, body="html"),
    FailAfter(408, body="empty"),
    FailAfter(504),
    RedirectAfter(301),
    RedirectAfter(302),
    RedirectAfter(307),
    RedirectAfter(308),
    Twice(),
    LaggingList(2.0),
    LaggingList(30.0),
)
"""What was done looks as if it was not, or not yet: for a client that takes no answer but a success for one."""

WRONG_DOWNLOADS: tuple[Fault, ...] = (
    WrongDownload("empty"),
    WrongDownload("half"),
    WrongDownload("json"),
    WrongDownload("html"),
    WrongDownload("other"),
)
"""Files that prove nothing."""

HARD_WORDS: tuple[str, ...] = (
    "\ud83d",
    "\x00\x01\x1b[31m\x7f\r\n\t",
    "x" * 140_000,
    "=cmd|' /C calc'!A0",
)
"""Messages that are hard to write down: half a UTF-16 pair, control characters, a long one, a formula."""
