"""Policies played in the simulated world: rollouts, evaluation episodes, searches, measurements."""
