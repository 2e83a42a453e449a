"""The page "Device claims" of Airflow's web server: what became of each claim, each row, each device."""
