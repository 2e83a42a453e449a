"""What `make` runs: the environment, and the demo that drives a real Airflow against the emulator."""
