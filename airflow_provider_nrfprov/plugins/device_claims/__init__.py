"""The page "Device claims" of Airflow's web server: what became of each claim, each row, each device."""

AIRFLOW_IN_SCOPE = "nrfprov.airflow"
"""Under this name a request knows Airflow's own application."""
