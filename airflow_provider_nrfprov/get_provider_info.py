"""What Airflow asks about this provider. Every Airflow process imports this module: it imports nothing."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, in the form of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-nrfprov",
        "name": "nRF Cloud Provisioning",
        "description": "Claim, tag and unclaim nRF91 devices in `Nordic's nRF Cloud Provisioning Service <https://nrfcloud.com>`__.",
        "integrations": [
            {
                "integration-name": "nRF Cloud Provisioning Service",
                "external-doc-url": "https://docs.nrfcloud.com",
                "tags": ["service"],
            }
        ],
        "hooks": [
            {
                "integration-name": "nRF Cloud Provisioning Service",
                "python-modules": ["airflow_provider_nrfprov.hooks.nrfprov"],
            }
        ],
        "operators": [
            {
                "integration-name": "nRF Cloud Provisioning Service",
                "python-modules": [
                    "airflow_provider_nrfprov.operators.block_devices",
                    "airflow_provider_nrfprov.operators.bulk_claim",
                    "airflow_provider_nrfprov.operators.bulk_ops",
                    "airflow_provider_nrfprov.operators.check_claim_file",
                    "airflow_provider_nrfprov.operators.claim_device",
                    "airflow_provider_nrfprov.operators.fetch_device",
                    "airflow_provider_nrfprov.operators.judge_claim",
                    "airflow_provider_nrfprov.operators.list_devices",
                    "airflow_provider_nrfprov.operators.provisioning_command",
                    "airflow_provider_nrfprov.operators.provisioning_rules",
                    "airflow_provider_nrfprov.operators.tag_devices",
                    "airflow_provider_nrfprov.operators.tags",
                    "airflow_provider_nrfprov.operators.unclaim_devices",
                ],
            }
        ],
        "sensors": [
            {
                "integration-name": "nRF Cloud Provisioning Service",
                "python-modules": [
                    "airflow_provider_nrfprov.sensors.bulk_ops",
                    "airflow_provider_nrfprov.sensors.provisioning_command",
                ],
            }
        ],
        "triggers": [
            {
                "integration-name": "nRF Cloud Provisioning Service",
                "python-modules": [
                    "airflow_provider_nrfprov.triggers.bulk_ops",
                    "airflow_provider_nrfprov.triggers.claim_file_arrival",
                    "airflow_provider_nrfprov.triggers.provisioning_command",
                ],
            }
        ],
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
                    "api": {
                        "label": "API",
                        "description": (
                            "team: the Provisioning Service, with the team's API key; project: organizations and projects of the "
                            "new nRF Cloud, with an organization token (experimental)"
                        ),
                        "schema": {
                            "type": ["string", "null"],
                            "enum": ["team", "project"],
                            "default": "team",
                        },
                    },
                    "organization": {
                        "label": "Organization",
                        "description": "For a project: the organization's slug, as in the addresses of the new app",
                        "schema": {"type": ["string", "null"], "pattern": "^[a-z0-9-]*$"},
                    },
                    "project": {
                        "label": "Project",
                        "description": "For a project: its slug",
                        "schema": {"type": ["string", "null"], "pattern": "^[a-z0-9-]*$"},
                    },
                    "bulk_contract": {
                        "label": "Bulk claim contract",
                        "description": (
                            "How the service answers a bulk claim: async with an operation to wait for, sync at once; "
                            "auto finds out"
                        ),
                        "schema": {
                            "type": ["string", "null"],
                            "enum": ["auto", "async", "sync"],
                            "default": "auto",
                        },
                    },
                    "cloud_url": {
                        "label": "URL of bulk operations",
                        "description": "Base URL for the status of bulk operations, if it does not follow from the base URL above",
                        "schema": {"type": ["string", "null"], "format": "url"},
                    },
                    "portal_url": {
                        "label": "Page of claimed devices",
                        "description": "Where a task's link nRF Cloud leads, if not to Nordic's own page",
                        "schema": {"type": ["string", "null"], "format": "url"},
                    },
                    "device_url": {
                        "label": "Page of one device",
                        "description": "Address that a device in Device claims links to, with {device_id} in it",
                        "schema": {"type": ["string", "null"]},
                    },
                    "connect_timeout": {
                        "label": "Connect timeout (s)",
                        "description": "How long the service may take to accept a connection",
                        "schema": {"type": ["number", "null"], "default": 5, "minimum": 0.1},
                    },
                    "read_timeout": {
                        "label": "Read timeout (s)",
                        "description": "How long it may take to answer; allow for a bulk claim of 1,000 rows",
                        "schema": {"type": ["number", "null"], "default": 60, "minimum": 1},
                    },
                    "retry_deadline": {
                        "label": "Retry for (s)",
                        "description": "How long a request that may be repeated is retried; 0 for one attempt",
                        "schema": {"type": ["number", "null"], "default": 120, "minimum": 0},
                    },
                    "longest_wait": {
                        "label": "Longest wait (s)",
                        "description": "The longest wait before the next attempt, even if the service asks for more",
                        "schema": {"type": ["number", "null"], "default": 3600, "minimum": 0},
                    },
                    "verify": {
                        "label": "CA bundle",
                        "description": "File of CA certificates (PEM) on each worker and triggerer, for a gateway or proxy of your own",
                        "schema": {"type": ["string", "null"]},
                    },
                    "devices_url": {
                        "label": "URL of devices",
                        "description": "For a project: where its devices are listed, if not on Nordic's own host or that of the base URL",
                        "schema": {"type": ["string", "null"], "format": "url"},
                    },
                    "job_statuses": {
                        "label": "Job statuses",
                        "description": 'For a project: the names of its job statuses: {"failed": ["FAILED", "PARTIAL"]}',
                        "schema": {"type": ["string", "null"], "format": "json"},
                    },
                    "endpoints": {
                        "label": "Endpoints",
                        "description": 'Where your service differs: {"UpdateClaimedDevice": "PUT /claimed-devices/{device_id}"}',
                        "schema": {"type": ["string", "null"], "format": "json"},
                    },
                },
            }
        ],
    }
