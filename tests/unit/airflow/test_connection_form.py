"""The connection form as Airflow 3.2 and later build it from metadata; since 3.3, from nothing else."""

from __future__ import annotations

import json
import subprocess
import sys

import airflow
import pytest
from packaging.version import Version

from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_3_PLUS

_CODE = """
import json, sys
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
(meta,) = [m for m in HookMetaService.hook_meta_data() if m.connection_type == "nrfprov"]
print(json.dumps({"loaded": "airflow_provider_nrfprov.hooks.nrfprov" in sys.modules, **meta.model_dump(mode="json")}))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    Version(airflow.__version__) < Version("3.2"), reason="Airflow builds the form from metadata since 3.2"
)
def test_the_form_has_our_labels_and_fields_and_is_no_reason_to_import_the_hook():
    # In a process of its own: what is imported here must not count.
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _CODE], capture_output=True, text=True, check=True
    )
    form = json.loads(result.stdout.strip().splitlines()[-1])
    # Airflow 3.2 still imports every hook there is before it builds a form.
    assert not form["loaded"] or not AIRFLOW_V_3_3_PLUS
    assert form["hook_name"] == "nRF Cloud Provisioning"
    assert form["standard_fields"]["password"]["title"] == "API key"
    assert form["standard_fields"]["host"]["title"] == "Base URL"
    assert form["standard_fields"]["login"]["hidden"]
    assert set(form["extra_fields"]) == {
        "api",
        "organization",
        "project",
        "devices_url",
        "job_statuses",
        "bulk_contract",
        "cloud_url",
        "portal_url",
        "device_url",
        "connect_timeout",
        "read_timeout",
        "retry_deadline",
        "longest_wait",
        "verify",
        "endpoints",
    }
    assert form["extra_fields"]["bulk_contract"]["schema"]["enum"] == ["auto", "async", "sync"]
