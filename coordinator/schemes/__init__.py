"""The schemes by which departments learn."""
