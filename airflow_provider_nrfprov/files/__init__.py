"""Files where claim files and reports are: local, or on an object store. Imports no Airflow but to open the latter."""
