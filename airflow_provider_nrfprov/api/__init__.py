"""The service over HTTP: what a script needs, by one import. Imports nothing of Airflow.

>>> from airflow_provider_nrfprov.api import ProvisioningClient, ProvisioningService, ServiceError

A name is loaded when it is first asked for: each task of Airflow parses its DAG file again, and most need nothing of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.client import ProvisioningClient
    from airflow_provider_nrfprov.api.contract import BulkContract, base_urls, endpoints
    from airflow_provider_nrfprov.api.error_summary import ErrorSummary
    from airflow_provider_nrfprov.api.errors import (
        ConfigurationError,
        ConflictError,
        ForbiddenError,
        GoneError,
        NotFoundError,
        NotInThisApiError,
        NrfProvError,
        RateLimitedError,
        ServiceError,
        TagError,
        UnauthorizedError,
        UnavailableError,
        UnreachableError,
        UnreadableAnswerError,
    )
    from airflow_provider_nrfprov.api.models import (
        BulkClaim,
        BulkOpsRequest,
        ClaimedDevice,
        DryRun,
        ProvisioningCommand,
        ProvisioningRule,
        Tag,
    )
    from airflow_provider_nrfprov.api.retry import (
        NEVER,
        Retry,
        nothing_was_done,
        refused_as_a_whole,
        retry_after,
    )
    from airflow_provider_nrfprov.api.service import ProvisioningService

_NAMES = {
    "client": ("ProvisioningClient",),
    "contract": ("BulkContract", "base_urls", "endpoints"),
    "error_summary": ("ErrorSummary",),
    "errors": (
        "ConfigurationError", "ConflictError", "ForbiddenError", "GoneError", "NotFoundError", "NotInThisApiError",
        "NrfProvError", "RateLimitedError", "ServiceError", "TagError", "UnauthorizedError", "UnavailableError", "UnreachableError",
        "UnreadableAnswerError",
    ),
    "models": (
        "BulkClaim", "BulkOpsRequest", "ClaimedDevice", "DryRun", "ProvisioningCommand", "ProvisioningRule", "Tag",
    ),
    "retry": ("NEVER", "Retry", "nothing_was_done", "refused_as_a_whole", "retry_after"),
    "service": ("ProvisioningService",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "NEVER", "BulkClaim", "BulkContract", "BulkOpsRequest", "ClaimedDevice", "ConfigurationError", "ConflictError",
    "DryRun", "ErrorSummary", "ForbiddenError", "GoneError", "NotFoundError", "NotInThisApiError", "NrfProvError",
    "ProvisioningClient",
    "ProvisioningCommand", "ProvisioningRule", "ProvisioningService", "RateLimitedError", "Retry", "ServiceError",
    "Tag", "TagError", "UnauthorizedError", "UnavailableError", "UnreachableError", "UnreadableAnswerError",
    "base_urls", "endpoints", "nothing_was_done", "refused_as_a_whole", "retry_after",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
