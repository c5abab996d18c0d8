"""A firm as an environment for other people's algorithms."""

from coordinator.envs.faces import FirmEnv, FirmParallelEnv, FirmVectorEnv

__all__ = ["FirmEnv", "FirmParallelEnv", "FirmVectorEnv"]
