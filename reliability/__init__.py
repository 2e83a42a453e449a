"""Seeded schedules of faults and crashes, and what becomes of a claim file under each: `make reliability`."""

from pathlib import Path

DAGS = Path(__file__).parent / "dags"
"""A folder for each kind of run on a real Airflow."""
