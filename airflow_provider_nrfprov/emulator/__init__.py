"""The nRF Cloud Provisioning Service on this machine: for demos, tests and users' own DAG tests.

``python -m airflow_provider_nrfprov.emulator`` starts it; in a test,
``airflow_provider_nrfprov.emulator.server.running_emulator`` does.
"""
