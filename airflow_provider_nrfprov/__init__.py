"""Apache Airflow provider for Nordic's nRF Cloud Provisioning Service."""

__version__ = "0.1.0"
