"""Our figures beside those of what a user would use instead, measured in one run."""
