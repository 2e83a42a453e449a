"""What only newer versions of Airflow have."""

from __future__ import annotations

import airflow
from packaging.version import Version

_BASE_VERSION = Version(Version(airflow.__version__).base_version)

AIRFLOW_V_3_1_PLUS = Version("3.1.0") <= _BASE_VERSION
"""Pages of plugins know a browser's session; a person can be asked in a DAG run."""
AIRFLOW_V_3_3_PLUS = Version("3.3.0") <= _BASE_VERSION
"""Retry policies: an exception decides whether, and when, a failed task is tried again."""
