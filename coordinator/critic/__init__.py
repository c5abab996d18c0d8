"""The centralized critic and the values it hands out."""
