"""The trigger that waits for bulk operations. It only ever reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_nrfprov.api.wait_policy import BulkOpsWatch, Watch
from airflow_provider_nrfprov.triggers.polling import WaitingTrigger


class NrfProvBulkOpsTrigger(WaitingTrigger):
    """Waits until all of the given bulk operations have ended.

    All triggers of a connection in one triggerer share a poller, which asks for lists of operations: at first after 10 s, then
    after a tenth of the wait's age at most, up to every six minutes. A thousand operations are asked about no more often than
    every ``poll_interval``, and so are all while polls fail.

    Its one event is ``{"status": "ended", "failed": […]}``, ``{"status": "timeout", "waiting": […]}`` or
    ``{"status": "error", "error": {…}}``.

    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :param bulk_ops_request_ids: the operations to wait for.
    :param poll_interval: seconds between two rounds of asking about many, or while polls fail; 1 at least.
    :param end_time: when to give up, as seconds since the epoch; absolute, so that a restarted
        triggerer does not start the wait over.
    :param silent_fail: keep asking until ``end_time`` whatever goes wrong.
    """

    def __init__(
        self,
        nrfprov_conn_id: str,
        bulk_ops_request_ids: Sequence[str],
        poll_interval: float,
        end_time: float,
        *,
        silent_fail: bool = False,
    ) -> None:
        super().__init__(nrfprov_conn_id, poll_interval, end_time, silent_fail=silent_fail)
        self.bulk_ops_request_ids = list(bulk_ops_request_ids)

    def watch(self) -> BulkOpsWatch:
        """Watch the operations."""
        return BulkOpsWatch(self.bulk_ops_request_ids)

    async def wait(self, watch: Watch) -> dict[str, Any]:
        """Follow the poller that asks for all triggers of the connection."""
        from airflow_provider_nrfprov.triggers.bulk_ops_poller import following

        with following(self.nrfprov_conn_id, watch, self.interval, self.end_time) as follower:
            while not watch.is_done:
                if follower.is_over:
                    return {"status": "timeout", "waiting": watch.waiting}
                await follower.news()
                for note in follower.take_notes():
                    # The logger of the class: one of its own would be seven objects for each of thousands.
                    self.logger().info("%s", note)
                if follower.error is not None:
                    raise follower.error
            return {"status": "ended", "failed": watch.failed}
