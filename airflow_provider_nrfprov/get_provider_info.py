"""What Airflow asks about this provider. Every Airflow process imports this module: it imports nothing."""

from __future__ import annotations

from typing import Any

_SERVICE = "nRF Cloud Provisioning Service"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, in the form of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-nrfprov",
        "name": "nRF Cloud Provisioning",
        "description": "Claim, tag and unclaim nRF91 devices in `Nordic's nRF Cloud Provisioning Service <https://nrfcloud.com>`__.",
        "integrations": [
            {
                "integration-name": _SERVICE,
                "external-doc-url": "https://docs.nrfcloud.com",
                "tags": ["service"],
            }
        ],
        "hooks": _modules("hooks", "nrfprov"),
        "operators": _modules(
            "operators",
            "block_devices",
            "bulk_claim",
            "bulk_ops",
            "check_claim_file",
            "claim_device",
            "fetch_device",
            "judge_claim",
            "list_devices",
            "provisioning_command",
            "provisioning_rules",
            "tag_devices",
            "tags",
            "unclaim_devices",
        ),
        "sensors": _modules("sensors", "bulk_ops", "provisioning_command"),
        "triggers": _modules("triggers", "bulk_ops", "claim_file_arrival", "provisioning_command"),
        "extra-links": [
            "airflow_provider_nrfprov.links.nrf_cloud.NrfProvPortalLink",
            "airflow_provider_nrfprov.links.report.NrfProvReportLink",
        ],
        "connection-types": [
            {
                "connection-type": "nrfprov",
                "hook-name": "nRF Cloud Provisioning",
                "hook-class-name": "airflow_provider_nrfprov.hooks.nrfprov.NrfProvHook",
                "ui-field-behaviour": {
                    # Not the port: Airflow 3.3.1 and 3.3.2 refuse to test a connection that has none
                    # (apache/airflow#73298), and a field that is hidden cannot be filled in.
                    "hidden-fields": ["schema", "login"],
                    "relabeling": {"host": "Base URL", "password": "API key"},
                    "placeholders": {
                        "host": "https://api.provisioning.nrfcloud.com",
                        "password": "of the team in the legacy app: User Account > Current Team Details",
                        "port": "443; without it Airflow 3.3.1 and 3.3.2 cannot test",
                    },
                },
                "conn-fields": {
                    "api": _field(
                        "API",
                        "team: the Provisioning Service, with the team's API key; project: organizations and projects of the "
                        "new nRF Cloud, with an organization token (experimental)",
                        enum=["team", "project"],
                        default="team",
                    ),
                    "organization": _field(
                        "Organization",
                        "For a project: the organization's slug, as in the addresses of the new app",
                        pattern="^[a-z0-9-]*$",
                    ),
                    "project": _field("Project", "For a project: its slug", pattern="^[a-z0-9-]*$"),
                    "bulk_contract": _field(
                        "Bulk claim contract",
                        "How the service answers a bulk claim: async with an operation to wait for, sync at once; "
                        "auto finds out",
                        enum=["auto", "async", "sync"],
                        default="auto",
                    ),
                    "cloud_url": _field(
                        "URL of bulk operations",
                        "Base URL for the status of bulk operations, if it does not follow from the base URL above",
                        format="url",
                    ),
                    "portal_url": _field(
                        "Page of claimed devices",
                        "Where a task's link nRF Cloud leads, if not to Nordic's own page",
                        format="url",
                    ),
                    "device_url": _field(
                        "Page of one device",
                        "Address that a device in Device claims links to, with {device_id} in it",
                    ),
                    "connect_timeout": _field(
                        "Connect timeout (s)",
                        "How long the service may take to accept a connection",
                        kind="number",
                        default=5,
                        minimum=0.1,
                    ),
                    "read_timeout": _field(
                        "Read timeout (s)",
                        "How long it may take to answer; allow for a bulk claim of 1,000 rows",
                        kind="number",
                        default=60,
                        minimum=1,
                    ),
                    "retry_deadline": _field(
                        "Retry for (s)",
                        "How long a request that may be repeated is retried; 0 for one attempt",
                        kind="number",
                        default=120,
                        minimum=0,
                    ),
                    "longest_wait": _field(
                        "Longest wait (s)",
                        "The longest wait before the next attempt, even if the service asks for more",
                        kind="number",
                        default=3600,
                        minimum=0,
                    ),
                    "verify": _field(
                        "CA bundle",
                        "File of CA certificates (PEM) on each worker and triggerer, for a gateway or proxy of your own",
                    ),
                    "devices_url": _field(
                        "URL of devices",
                        "For a project: where its devices are listed, if not on Nordic's own host or that of the base URL",
                        format="url",
                    ),
                    "job_statuses": _field(
                        "Job statuses",
                        'For a project: the names of its job statuses: {"failed": ["FAILED", "PARTIAL"]}',
                        format="json",
                    ),
                    "endpoints": _field(
                        "Endpoints",
                        'Where your service differs: {"UpdateClaimedDevice": "PUT /claimed-devices/{device_id}"}',
                        format="json",
                    ),
                },
            }
        ],
    }


def _modules(room: str, *names: str) -> list[dict[str, Any]]:
    return [
        {
            "integration-name": _SERVICE,
            "python-modules": [f"airflow_provider_nrfprov.{room}.{name}" for name in names],
        }
    ]


def _field(label: str, description: str, kind: str = "string", **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **schema}}
