"""The whole state of the emulated service, and the one lock around it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from airflow_provider_nrfprov.emulator.accounts import PROJECT, TEAM_A, KeyRing
from airflow_provider_nrfprov.emulator.bulk import BulkOperation, BulkOperations, BulkSubmission
from airflow_provider_nrfprov.emulator.clock import Clock, utc_now
from airflow_provider_nrfprov.emulator.devices import READY, Device, Devices, Tag, Tags
from airflow_provider_nrfprov.emulator.faults.plans import Faults
from airflow_provider_nrfprov.emulator.mint import TokenCheck
from airflow_provider_nrfprov.emulator.provisioning import Commands, Rules
from airflow_provider_nrfprov.emulator.settings import Settings


class Service:
    """The emulated service. Knows no HTTP.

    Whoever reads or changes its parts does so within ``turn()``: one at a time, and after all
    that the clock has brought about. The methods of this class take a turn themselves, and are
    what a test asserts on.
    """

    def __init__(self, settings: Settings | None = None, clock: Clock = utc_now) -> None:
        self.requests: Counter[str] = Counter()
        self.faults = Faults()
        self._clock = clock
        self._lock = threading.RLock()
        self._begin(settings or Settings())

    def now(self) -> datetime:
        """Return the time of the service's clock, in whole milliseconds: the precision of everything that it says."""
        now = self._clock() + self._clock_offset
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    @contextmanager
    def turn(self) -> Iterator[datetime]:
        """Hold the state for oneself; what is due has happened. Yields the time that it is."""
        with self._lock:
            now = self.now()
            self.operations.settle(now)
            yield now

    def reset(self, settings: Settings | None = None) -> None:
        """Forget everything, also faults, revoked keys, trusted keys and counts; takes microseconds.

        :param settings: how it behaves from now on; as before by default.
        """
        with self._lock:
            self.requests.clear()
            self.faults.reset()
            self._begin(settings or self.settings)

    def block(self, device: Device) -> None:
        """Block a device: its pending commands stay pending."""
        with self.turn() as now:
            self.commands.of_device(device, now)  # what it did before it was blocked stays done
            device.change(now, status=self.settings.blocked_status)

    def unblock(self, device: Device) -> None:
        """Unblock a device: it begins with its pending commands now."""
        with self.turn() as now:
            if device.status != READY:
                device.change(now, status=READY)
                self.commands.resume(device, now)

    def unclaim(self, device: Device) -> None:
        """Unclaim a device, and forget its commands."""
        with self.turn() as now:
            self.devices.unclaim(device, now)
            self.commands.forget(device)

    def release_operations(self, operation_id: str | None = None) -> None:
        """Let bulk operations end that a ``StuckOperation`` keeps from it: one, or all."""
        with self.turn() as now:
            for operation in self.operations.all():
                if operation_id in {None, operation.id}:
                    self.operations.release(operation, now)
                    self.faults.forget_stuck(operation.id)

    def count_request(self, operation: str) -> int:
        """Count a request that arrived, by the name of its operation; return which one it is, from 1."""
        with self._lock:
            self.requests[operation] += 1
            return self.requests[operation]

    def request_counts(self) -> dict[str, int]:
        """Return how many requests arrived since the start or the last reset, by operation."""
        with self._lock:
            return dict(self.requests)

    def claimed_devices(self, team: str | None = None) -> list[Device]:
        """Return the claimed devices, of all teams or of one."""
        with self.turn():
            return [device for device in self.devices if team in {None, device.team}]

    def claimed_ids(self, team: str | None = None) -> set[str]:
        """Return the UUIDs of the claimed devices, of all teams or of one."""
        return {device.id for device in self.claimed_devices(team)}

    def claim_counts(self) -> dict[str, int]:
        """Return how often each device went from unclaimed to claimed; unclaiming resets nothing."""
        with self.turn():
            return dict(self.devices.claim_counts)

    def claims_per_operation(self) -> dict[str, int]:
        """Return how many devices each bulk operation has claimed."""
        return {each.id: each.claimed for each in self.bulk_operations()}

    def bulk_operations(self) -> list[BulkOperation]:
        """Return the bulk operations of all teams in order of arrival."""
        with self.turn():
            return list(self.operations.all())

    def bulk_submissions(self) -> list[BulkSubmission]:
        """Return every CSV of claims that was accepted, in both contracts, in order of arrival.

        Of each: the id of its bulk operation (None for a synchronous claim), the UUIDs of all devices
        it names, whatever became of them, when it came, and whether it was not a client that sent it, but a
        ``Twice``.
        """
        with self.turn():
            return list(self.submissions)

    def submission_counts(self) -> dict[str, int]:
        """Return in how many of the ``bulk_submissions`` each device was. Above 1: it was sent again.

        What a ``Twice`` repeated is not counted: no client sent it.
        """
        sent = [each for each in self.bulk_submissions() if not each.repeated]
        return dict(Counter(device for each in sent for device in each.device_ids))

    def team_tags(self, team: str) -> list[Tag]:
        """Return the tags of a team, oldest first."""
        with self.turn():
            return self.tags.of_team(team)

    def _begin(self, settings: Settings) -> None:
        self.settings = settings
        self._clock_offset = timedelta(seconds=settings.clock_offset_seconds)
        project = TEAM_A if settings.project_is_teams else PROJECT
        self.keys = KeyRing(settings.api_key, settings.organization_token, project)
        self.tokens = TokenCheck(settings.token_check)
        self.tags = Tags(settings.unknown_tags)
        self.devices = Devices(settings, self.tags, self.tokens)
        self.operations = BulkOperations(settings, self.devices)
        self.commands = Commands(settings.command_seconds, settings.command_end)
        self.rules = Rules()
        self.submissions: list[BulkSubmission] = []
