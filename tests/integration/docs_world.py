"""What is there when a block of the docs runs, and what each has to have done."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import Asset, ObjectStoragePath

from airflow_provider_nrfprov.emulator.accounts import PROJECT, TEAM_A
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.server import Emulator
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_0_PLUS
from reliability.ours import Clock
from tests.integration.dag_runs import End, database, found, new_dag, run
from tests.traffic import claimed_by_another_team

SHIFT = "s3://factory@line-1/shift.csv"


@dataclass
class World:
    """What is there when a block begins to run."""

    emulator: Emulator
    clock: Clock
    factory: Path
    due: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    def path(self, where: str) -> Any:
        """Return the path that a block means."""
        if where.startswith("/factory/"):
            return self.factory / where.removeprefix("/factory/")
        return ObjectStoragePath(where)

    def write(self, where: str, text: str) -> None:
        path = self.path(where)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def claim_file(self, where: str, rows: int = 6) -> list[str]:
        """Write a claim file of devices that nobody has claimed; return their ids."""
        devices = list(mint_devices(rows, seed=where))
        self.write(where, "\n".join(device.token for device in devices))
        return [device.device_id for device in devices]

    def claim(self, count: int, *tags: str, seed: str = "ours") -> list[str]:
        """Claim devices now; return their ids."""
        devices = list(mint_devices(count, seed=seed))
        for start in range(0, count, 1000):
            rows = (f'{device.token},"{",".join(tags)}"' for device in devices[start : start + 1000])
            answer = NrfProvHook().bulk_claim("\n".join(rows))
            assert not answer.failed
        ids = [device.device_id for device in devices]
        assert set(ids) <= self.ours()
        return ids

    def claim_before(self, span: timedelta, count: int, *tags: str, seed: str = "ours") -> list[str]:
        """Claim devices so long before the run was due; return their ids."""
        self.clock.ahead = self.due - span - datetime.now(timezone.utc)
        ids = self.claim(count, *tags, seed=seed)
        self.clock.ahead = timedelta(0)
        return ids

    def claim_for_another_team(self, seed: str) -> None:
        """Claim the first device of a claim file for another team."""
        claimed_by_another_team(self.emulator, next(iter(mint_devices(1, seed=seed))).token)

    def ours(self) -> set[str]:
        return self.emulator.service.claimed_ids(TEAM_A)

    def with_tag(self, tag: str) -> set[str]:
        return {each.id for each in self.emulator.service.claimed_devices(TEAM_A) if tag in each.tags}


@dataclass(frozen=True)
class Scene:
    """What a block needs, and what it has to have done; without ``ends`` every task has to succeed."""

    prepare: Callable[[World], Any] = lambda world: None
    check: Callable[[World, dict[str, End], Any], Any] = lambda world, ends, prepared: None
    params: Mapping[str, Any] = field(default_factory=dict)
    ends: Mapping[str, str] = field(default_factory=dict)
    says: str = ""
    """What has to be in the log."""


def claims(where: str, tag: str | None = None, **others: Any) -> Scene:
    """A file that is named by the time of its run; all of its devices are ours in the end."""

    def check(world: World, ends: dict[str, End], ids: list[str]) -> None:
        assert (world.ours() if tag is None else world.with_tag(tag)) == set(ids)

    return Scene(lambda world: world.claim_file(world.due.strftime(where)), check, **others)


def _claimed_into_the_project(world: World, ends: dict[str, End], ids: list[str]) -> None:
    assert world.emulator.service.claimed_ids(PROJECT) == set(ids)
    assert world.ours() == set()
    assert ends["claim"].xcoms["return_value"]["claimed"] == len(ids)


def _file_with_its_own_column_names(world: World) -> list[str]:
    devices = list(mint_devices(6, seed="columns"))
    rows = [f"{number},{device.token}" for number, device in enumerate(devices)]
    world.write(SHIFT, "\n".join(["Serial,Token ID", *rows]))
    return [device.device_id for device in devices]


def _claimed_with_columns(world: World, ends: dict[str, End], ids: list[str]) -> None:
    assert world.with_tag("line=1") == set(ids)
    assert ends["claim"].xcoms["return_value"]["claimed"] == 6
    assert ends["claim"].xcoms["report_dir"].startswith("s3://factory@line-1/reports/")


def _two_files(world: World) -> list[str]:
    return [each for name in "ab" for each in world.claim_file(f"s3://factory@claims/{name}.csv")]


def _all_claimed(world: World, ends: dict[str, End], ids: list[str]) -> None:
    assert world.with_tag("line=1") == set(ids)


def _one_device(*, is_ours: bool) -> Callable[[World, dict[str, End], Any], None]:
    def check(world: World, ends: dict[str, End], _: Any) -> None:
        assert ends["claim" if is_ours else "ask"].xcoms["return_value"]
        assert world.ours() == ({ONE.device_id} if is_ours else set())

    return check


def _old_and_new(world: World) -> list[str]:
    world.claim_before(timedelta(days=2), 5, seed="of before")
    return world.claim_before(timedelta(hours=1), 3, "lot=7")


def _only_new_ones_listed(world: World, ends: dict[str, End], ids: list[str]) -> None:
    assert sorted(ends["list"].xcoms["return_value"]) == sorted(ids)
    assert ends["list_all"].xcoms["return_value"]["count"] == 3
    assert world.with_tag("audited") == set(ids)


def _a_tag_without_devices(world: World) -> list[str]:
    NrfProvHook().create_tag("lot=7")
    return world.claim(3, "line=1")


def _tags_made_renamed_deleted(world: World, ends: dict[str, End], ids: list[str]) -> None:
    assert world.with_tag("line=one") == set(ids)
    names = {each.tag for each in world.emulator.service.team_tags(TEAM_A)}
    assert {"line=one", "lot=8"} <= names
    assert "lot=7" not in names


def _a_failed_operation(world: World) -> None:
    world.claim_for_another_team("/factory/claims/refused.csv")
    world.claim_file("/factory/claims/refused.csv")
    file = world.path("/factory/claims/refused.csv")
    NrfProvBulkClaimOperator(
        task_id="claim", claim_file=file, max_failed_rows=None, do_xcom_push=False
    ).execute({})


def _the_failed_operation_shown(world: World, ends: dict[str, End], _: Any) -> None:
    assert len(ends["failed"].xcoms["return_value"]) == 1
    assert ends["show"].xcoms["return_value"]["errors"] == 1


def _devices_in_a_report(world: World) -> list[str]:
    ids = world.claim(4, "lot=7")
    lines = ["device_id,outcome,status,message", *(f"{each},done,," for each in ids[:2])]
    world.write("/factory/reports/report.csv", "\n".join(lines))
    return ids


def _tagged_and_untagged(world: World, ends: dict[str, End], ids: list[str]) -> None:
    assert world.with_tag("line=1") == set(ids[:2])
    assert not world.with_tag("lot=7")


def _a_blocked_file_and_a_lot(world: World) -> list[str]:
    repaired = world.claim(2, seed="repaired")
    for each in repaired:
        NrfProvHook().block_device(each)
    world.write("/factory/quarantine/repaired.txt", "\n".join(repaired))
    return world.claim(3, "lot=7")


def _blocked_devices(world: World) -> set[str]:
    return {each.id for each in world.emulator.service.claimed_devices(TEAM_A) if each.status == "BLOCKED"}


def _just_the_lot_blocked(world: World, ends: dict[str, End], ids: list[str]) -> None:
    assert _blocked_devices(world) == set(ids)


def _a_lot_in_quarantine(world: World) -> None:
    for each in world.claim(3, "lot=7", "quarantine"):
        NrfProvHook().block_device(each)


def _no_quarantine(world: World, ends: dict[str, End], _: Any) -> None:
    assert not _blocked_devices(world)
    assert not world.with_tag("quarantine")
    assert len(world.with_tag("lot=7")) == 3


def _others_given_up(world: World, ends: dict[str, End], kept: list[str]) -> None:
    assert world.ours() == set(kept)


def _some_scrapped(world: World) -> list[str]:
    world.claim(3, "scrapped", seed="scrapped")
    return world.claim(2)


def _one_row_of_another_team(world: World) -> list[str]:
    world.claim_for_another_team("/factory/claims/shift.csv")
    return world.claim_file("/factory/claims/shift.csv")


def _failed_the_second_time_only(world: World, ends: dict[str, End], ids: list[str]) -> None:
    assert world.ours() == set(ids[1:])
    assert ends["claim"].xcoms["summary"]["failed"] == 1
    assert ends["failed_rows"].tries == 2
    assert "1 row failed" in str(ends["claim_again"].error)
    assert ends["claim_again"].xcoms["summary"]["rows"] == 1


def _a_shift_before_and_this_one(world: World) -> list[str]:
    world.claim_before(timedelta(hours=9), 100, "line=1", seed="the shift before")
    return world.claim_before(timedelta(hours=1), 1200, "line=1")


def _just_this_shift_listed(world: World, ends: dict[str, End], ids: list[str]) -> None:
    listed = ends["claimed"].xcoms["return_value"]
    assert listed["count"] == 1200
    path = world.path(listed["path"])
    with path.open("r") as stream:
        assert {line.partition(",")[0] for line in stream.read().splitlines()[1:]} == set(ids)


def _a_file_at_the_sftp_server(world: World) -> list[str]:
    ids = world.claim_file("/factory/claims/2026-11-23-a.csv")
    outgoing = world.factory.parent / "outgoing"
    outgoing.mkdir()
    world.path("/factory/claims/2026-11-23-a.csv").rename(outgoing / "2026-11-23-a.csv")
    return ids


def claim_with_an_event(world: World) -> dict[str, Any]:
    """Claim a file in a task with an outlet; return the ``extra`` of its event, with its id as ``id``."""
    world.claim_file("/factory/claims/shift.csv")
    with new_dag() as dag:
        NrfProvBulkClaimOperator(
            task_id="claim",
            claim_file=world.path("/factory/claims/shift.csv"),
            outlets=[Asset("nrfprov_claimed_devices")],
        )
    if not AIRFLOW_V_3_0_PLUS:
        dag.sync_to_db()
    assert run(dag)["claim"].state == "success"
    kind = "asset" if AIRFLOW_V_3_0_PLUS else "dataset"
    (number, extra), *_ = found(f"select id, extra from {kind}_event where source_dag_id = ?", dag.dag_id)
    return {"id": number, **json.loads(extra)}


def _started_by_the_event(world: World) -> dict[str, Any]:
    """Let the run of the block be one that the event of a real claim has started, as the scheduler would."""
    event = claim_with_an_event(world)
    kind = "asset" if AIRFLOW_V_3_0_PLUS else "dataset"
    with closing(sqlite3.connect(database())) as connection:
        connection.execute("drop trigger if exists started_by_an_event")
        connection.execute(
            "create trigger started_by_an_event after insert on dag_run when new.dag_id = 'after_each_claim' "
            f"begin insert into dagrun_{kind}_event (dag_run_id, event_id) values (new.id, {event['id']}); end"
        )
    return event


ONE = next(iter(mint_devices(1, seed="one device")))
OF_OURS = next(iter(mint_devices(1, seed="ours"))).device_id
SCENES: dict[str, Scene] = {
    "README, Use": claims("s3://factory@line-1/shift-%Y-%m-%d-%H.csv", "nrf-cloud-onboarding"),
    "new-api, Moving a DAG": Scene(
        lambda world: world.claim_file("/factory/claims/shift.csv"), _claimed_into_the_project
    ),
    "operators, Check a claim file": Scene(lambda world: world.claim_file(SHIFT)),
    "operators, Claim a file": Scene(_file_with_its_own_column_names, _claimed_with_columns),
    "operators, Links, assets, lineage, task groups (2)": Scene(_two_files, _all_claimed),
    "operators, Send, wait and report apart": claims(SHIFT),
    "operators, One device": Scene(check=_one_device(is_ours=True), params={"claim_token": ONE.token}),
    "operators, One device (2)": Scene(check=_one_device(is_ours=False), params={"claim_token": ONE.token}),
    "operators, List devices": Scene(_old_and_new, _only_new_ones_listed),
    "operators, Tags themselves": Scene(
        _a_tag_without_devices, _tags_made_renamed_deleted, params={"lot": "8"}
    ),
    "operators, Bulk operations": Scene(_a_failed_operation, _the_failed_operation_shown),
    "operators, Onboarding": claims(SHIFT, "nrf-cloud-onboarding"),
    "operators, Commands for a device": Scene(lambda world: world.claim(1), params={"device_id": OF_OURS}),
    "operators, Tags": Scene(_devices_in_a_report, _tagged_and_untagged),
    "operators, Block and unblock": Scene(_a_blocked_file_and_a_lot, _just_the_lot_blocked),
    "operators, Unclaim": Scene(
        lambda world: world.claim(3)[1:], _others_given_up, params={"device_ids": [OF_OURS]}
    ),
    "recipes, A shift's file, to claimed devices": claims("s3://factory@claims/%Y-%m-%d-%H.csv", "line=1"),
    "recipes, A shift's file, to claimed devices (2)": Scene(_a_file_at_the_sftp_server, _all_claimed),
    "recipes, Claim on arrival (2)": Scene(_started_by_the_event, says="6 claimed; "),
    "recipes, Run failed rows again": Scene(
        _one_row_of_another_team, _failed_the_second_time_only, ends={"claim_again": "failed"}
    ),
    "recipes, Every night": Scene(_a_shift_before_and_this_one, _just_this_shift_listed),
    "recipes, Quarantine a bad lot": Scene(_a_lot_in_quarantine, _no_quarantine),
    "recipes, Decommission, with approval": Scene(_some_scrapped, _others_given_up),
    "recipes, A test rig": Scene(
        lambda world: world.claim_file("/factory/rig/devices.csv"),
        lambda world, ends, ids: _others_given_up(world, ends, []),
    ),
}
"""A block of Python that is not here fails its test: it needs a world, and it has to have done something."""
