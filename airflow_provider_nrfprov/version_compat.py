"""Flags for what only newer versions of Airflow have."""

from __future__ import annotations

import airflow
from packaging.version import Version

_BASE_VERSION = Version(Version(airflow.__version__).base_version)

AIRFLOW_V_3_0_PLUS = Version("3.0.0") <= _BASE_VERSION
"""An outlet may be a reference to an asset."""
AIRFLOW_V_3_1_PLUS = Version("3.1.0") <= _BASE_VERSION
"""Pages of plugins know a browser's session; a person can be asked in a DAG run."""
AIRFLOW_V_3_1_7_PLUS = Version("3.1.7") <= _BASE_VERSION
"""Whether somebody may see a DAG is decided by the DAG that a plugin's page is about."""
AIRFLOW_V_3_3_PLUS = Version("3.3.0") <= _BASE_VERSION
"""Retry policies: an exception decides whether, and when, a failed task is tried again."""
