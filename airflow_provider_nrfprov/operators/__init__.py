"""Operators that claim, list, tag, block and unclaim devices."""
