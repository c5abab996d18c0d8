"""Benchmark rules: exact and heuristic levels for stock points and supply networks, from plain arrays and numbers."""
