"""The link from a task to the claimed devices in nRF Cloud's portal."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperatorLink

_log = logging.getLogger(__name__)


class NrfProvPortalLink(BaseOperatorLink):
    """Leads to the portal's page of claimed devices; the address of a bulk operation's page is unknown.

    The address is inferred; the connection's extra ``portal_url`` is used instead. There is no link where the connection
    leads to another service, an emulator for instance, nor for a connection id that is a template on Airflow 2.
    """

    name = "nRF Cloud"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address, an empty text for none. Asks for the connection, and nothing else."""
        from airflow_provider_nrfprov.hooks.connection import portal_page_of

        return _page(getattr(operator, "nrfprov_conn_id", None), portal_page_of) or ""


def device_page(conn_id: object) -> str | None:
    """Return the address of a device's page, with ``{device_id}`` in it; ``None`` for none. Asks for the connection, and nothing else."""
    from airflow_provider_nrfprov.hooks.connection import device_page_of

    return _page(conn_id, device_page_of)


def _page(conn_id: object, page_of: Callable[[Any], str | None]) -> str | None:
    from airflow.providers.common.compat.sdk import BaseHook

    from airflow_provider_nrfprov.api.errors import ConfigurationError

    if not isinstance(conn_id, str) or "{{" in conn_id:
        return None
    try:
        return page_of(BaseHook.get_connection(conn_id))
    except ConfigurationError as error:
        _log.warning("no link to nRF Cloud: Airflow connection %r: %s", conn_id, error)
    except Exception:  # noqa: BLE001 - a connection that is missing has failed the task already, in better words
        _log.debug("no link to nRF Cloud", exc_info=True)
    return None
