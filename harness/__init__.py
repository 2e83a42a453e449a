"""What demo, reliability and benchmarks share: an Airflow, an emulator, databases and programs, started and ended."""
