"""Html pages of runs and benchmarks."""
