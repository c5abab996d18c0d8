"""Many copies of a firm as a vectorised environment of stable-baselines3, which has an interface of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    from stable_baselines3.common.vec_env import VecEnv
except ModuleNotFoundError as missing:
    raise ImportError(
        f"coordinator.envs.sb3 needs {missing.name}, which is not installed: pip install stable-baselines3"
    ) from missing

from coordinator.envs.core import Array
from coordinator.envs.faces import FirmVectorEnv


class FirmVecEnv(VecEnv):
    """`FirmVectorEnv` for stable-baselines3: `PPO("MlpPolicy", FirmVecEnv("a1", 256))`."""

    def __init__(self, firm: Any = "a1", num_envs: int = 256, **settings: Any) -> None:  # noqa: ANN401
        """Prepare copies of a firm; arguments are those of `FirmVectorEnv`, which begins again in the same step."""
        self.envs = FirmVectorEnv(firm, num_envs, **settings)
        super().__init__(num_envs, self.envs.single_observation_space, self.envs.single_action_space)
        self._actions: Array | None = None

    def reset(self) -> Array:
        """Begin an episode of every copy, from the stream that `seed` has named."""
        seed, self._seeds = self._seeds[0], [None] * self.num_envs
        return self.envs.reset(seed=seed)[0]

    def step_async(self, actions: Array) -> None:
        """Keep the actions, [E, actions]."""
        self._actions = actions

    def step_wait(self) -> tuple[Array, Array, NDArray[np.bool_], list[dict[str, Any]]]:
        """Observations, rewards, who is over, and infos by copy; episodes are cut off by time."""
        if self._actions is None:
            raise RuntimeError("step_wait is called without step_async")
        seen, rewards, _, truncated, info = self.envs.step(self._actions)
        infos: list[dict[str, Any]] = [{"cost": float(cost)} for cost in info["cost"]]
        if "final_obs" in info:
            for copy, last in zip(infos, info["final_obs"], strict=True):
                copy |= {"terminal_observation": last, "TimeLimit.truncated": True}
        return seen, rewards, truncated.astype(np.bool_), infos

    def close(self) -> None:
        """Nothing is held."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:  # noqa: ANN401
        """The same of every copy."""
        return [getattr(self.envs, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:  # noqa: ANN401
        """Copies are one batch, whose attributes are not set one by one.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(f"copies of a firm are one batch: {attr_name} cannot be set")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **named: Any) -> list[Any]:  # noqa: ANN401
        """Copies are one batch, which has no methods of single ones.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(f"copies of a firm are one batch: {method_name} cannot be called on one")

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:  # noqa: ANN401
        """No copy is wrapped."""
        return [False for _ in self._get_indices(indices)]
