"""One action on many devices: the engine, the actions, the job, its record and its report."""
