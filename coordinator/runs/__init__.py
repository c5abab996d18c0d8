"""One training run, on disk and in time."""
