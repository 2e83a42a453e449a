"""The service over HTTP. Imports nothing of Airflow."""
