"""FILLME."""
