"""Training runs with their comparison, one or many."""
