"""Departments: what they decide by, how they learn, how they are played and served."""
