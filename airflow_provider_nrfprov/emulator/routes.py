"""Which operation is served where: the emulator's whole interface as one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from airflow_provider_nrfprov.emulator import project_handlers, side_doors, team_handlers
from airflow_provider_nrfprov.emulator.wire import Call, Incoming, Reply

Contract = Literal["both", "async", "sync"]
ApiName = Literal["team", "project", "memfault"]
"""Whose keys are taken, and what a refusal looks like: the two hosts of the new API differ in that."""


def _always(_: Incoming) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked for.

    ``name`` is the service's own where it is known. ``only_in`` is the contract that it belongs to,
    if it is not in both. ``when`` tells it from others at the same path and method. ``counted`` is whether
    ``/emulator/requests`` shows it.
    """

    name: str
    handler: Callable[[Call], Reply]
    only_in: Literal["async", "sync"] | None = None
    when: Callable[[Incoming], bool] = _always
    needs_key: bool = True
    counted: bool = True
    api: ApiName = "team"

    def served_under(self, contract: Contract) -> bool:
        """Whether the operation exists under a contract."""
        return contract == "both" or self.only_in in {None, contract}


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path, with the operations behind it; the first that applies is meant."""

    method: str
    path: str
    operations: tuple[Operation, ...]


def _route(method: str, path: str, *operations: Operation) -> Route:
    return Route(method, path, operations)


def _tag_routes(path: str, contract: Literal["async", "sync"]) -> list[Route]:
    return [
        _route("POST", path, Operation("CreateTag", team_handlers.create_tag, contract)),
        _route("GET", path, Operation("ListTags", team_handlers.list_tags, contract)),
        _route("GET", f"{path}/{{id}}", Operation("FetchTag", team_handlers.fetch_tag, contract)),
        _route("PUT", f"{path}/{{id}}", Operation("UpdateTag", team_handlers.update_tag, contract)),
        _route("DELETE", f"{path}/{{id}}", Operation("DeleteTags", team_handlers.delete_tag, contract)),
    ]


def _side_door(method: str, path: str, handler: Callable[[Call], Reply]) -> Route:
    return _route(method, path, Operation(path, handler, needs_key=False, counted=False))


_CLAIM = (
    Operation(
        "ClaimDeviceOwnershipDryRun",
        team_handlers.dry_run,
        when=lambda request: request.query.get("dryrun") == "true",
    ),
    Operation(
        "ClaimDeviceOwnershipCsv",
        team_handlers.claim_csv,
        only_in="sync",
        when=lambda request: request.is_csv,
    ),
    Operation("ClaimDeviceOwnership", team_handlers.claim_one),
)
_UPDATE = Operation("UpdateClaimedDevice", team_handlers.update_device)
_IN_PROJECT = "/organizations/{organization}/projects/{project}"
_CREATION = f"/v1{_IN_PROJECT}/long-range/devices/bulk"
_PROJECT_DEVICES = f"/api/v0{_IN_PROJECT}/devices"
_DEVICES = "/v1/claimed-devices"
_DEVICE = f"{_DEVICES}/{{id}}"

ROUTES: tuple[Route, ...] = (
    _route("POST", _DEVICES, *_CLAIM),
    _route("POST", "/v1/identities/claimed-devices", *_CLAIM),
    _route(
        "POST",
        f"{_DEVICES}/bulk",
        Operation("BulkClaimDeviceOwnership", team_handlers.start_bulk_claim, only_in="async"),
    ),
    # Fixed paths come before those that take an id in the same place.
    *_tag_routes(f"{_DEVICES}/tags", "async"),
    *_tag_routes("/v1/provisioning/tags", "sync"),
    _route("GET", _DEVICES, Operation("ListClaimedDevices", team_handlers.list_devices)),
    _route("GET", _DEVICE, Operation("FetchClaimedDevice", team_handlers.fetch_device)),
    _route("PATCH", _DEVICE, _UPDATE),
    _route("PUT", _DEVICE, _UPDATE),
    _route("DELETE", _DEVICE, Operation("UnclaimDevice", team_handlers.unclaim_device)),
    _route("POST", f"{_DEVICE}/block", Operation("BlockClaimedDevice", team_handlers.block_device)),
    _route("POST", f"{_DEVICE}/unblock", Operation("UnblockClaimedDevice", team_handlers.unblock_device)),
    _route(
        "POST",
        f"{_DEVICE}/provisioning",
        Operation("CreateDeviceProvisioningCommand", team_handlers.create_command),
    ),
    _route(
        "GET",
        f"{_DEVICE}/provisioning",
        Operation("ListDeviceProvisioningCommands", team_handlers.list_commands),
    ),
    _route(
        "GET",
        f"{_DEVICE}/provisioning/{{command}}",
        Operation("FetchDeviceProvisioningCommand", team_handlers.fetch_command),
    ),
    _route(
        "POST",
        "/v1/provisioning-rules",
        Operation("CreateProvisioningRule", team_handlers.create_rule),
    ),
    _route("GET", "/v1/provisioning-rules", Operation("ListProvisioningRules", team_handlers.list_rules)),
    _route("GET", "/v1/bulk-ops-requests", Operation("ListBulkOpsRequests", team_handlers.list_operations)),
    _route(
        "GET", "/v1/bulk-ops-requests/{id}", Operation("FetchBulkOpsRequest", team_handlers.fetch_operation)
    ),
    _route(
        "GET",
        "/bulk-ops-data/{team}/claim_device_ownership/{file}",
        Operation("DownloadBulkOpsData", team_handlers.download, needs_key=False),
    ),
    _route(
        "POST", _CREATION, Operation("CreateDevicesInBulk", project_handlers.create_devices, api="project")
    ),
    _route(
        "GET",
        f"{_CREATION}/{{id}}",
        Operation("FetchBulkCreation", project_handlers.fetch_job, api="project"),
    ),
    _route("GET", _PROJECT_DEVICES, Operation("ListDevices", project_handlers.list_devices, api="memfault")),
    _route(
        "GET",
        f"{_PROJECT_DEVICES}/{{id}}",
        Operation("FetchDevice", project_handlers.fetch_device, api="memfault"),
    ),
    _side_door("GET", "/emulator/health", side_doors.health),
    _side_door("GET", "/emulator/devices", side_doors.all_devices),
    _side_door("GET", "/emulator/devices/{id}", side_doors.one_device),
    _side_door("GET", "/emulator/operations", side_doors.all_operations),
    _side_door("GET", "/emulator/requests", side_doors.request_counts),
    _side_door("GET", "/emulator/submissions", side_doors.all_submissions),
    _side_door("GET", "/emulator/faults", side_doors.show),
    _side_door("POST", "/emulator/faults", side_doors.plan_or_schedule),
    _side_door("DELETE", "/emulator/faults", side_doors.clear),
    _side_door("POST", "/emulator/faults/release", side_doors.release),
    _side_door("POST", "/emulator/reset", side_doors.reset),
)
