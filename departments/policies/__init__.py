"""Learned policies: what they are, and all departments acting together."""
