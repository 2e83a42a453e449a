"""The bulk claim as a job. Imports neither Airflow nor anything that opens a socket."""
