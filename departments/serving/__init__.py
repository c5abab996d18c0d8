"""Departments in operation: decisions in plain numpy."""
