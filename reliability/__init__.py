"""Seeded schedules of faults and crashes, and what becomes of a claim file under each: `make reliability`."""
