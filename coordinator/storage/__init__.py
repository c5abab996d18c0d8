"""Files that are written whole or not at all; policies and checkpoints."""
