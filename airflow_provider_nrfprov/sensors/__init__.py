"""Sensors that wait for bulk operations and provisioning commands."""
