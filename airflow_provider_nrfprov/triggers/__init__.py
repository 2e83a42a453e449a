"""Triggers that wait for bulk operations, provisioning commands and claim files."""
