"""stable-baselines3's PPO on our environments: the firm as one agent."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from judging import CLIP, EPOCHS, FIRM, GAE_LAMBDA, GAMMA, HIDDEN, INITIAL_STD, LEARNING_RATE, SCALINGS, Judge, Part
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from coordinator.envs import FirmEnv, FirmVectorEnv
from coordinator.envs.core import Form


class SideBySide(VecEnv):
    """`FirmVectorEnv` as stable-baselines3 wants its vectors: an info and a last observation for each copy."""

    def __init__(self, env: FirmVectorEnv) -> None:
        """Wrap `env`."""
        self._env, self._actions = env, np.empty(0)
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Any:  # noqa: ANN401
        """First observations, [E, features]."""
        return self._env.reset(seed=self._seeds[0])[0]

    def step_async(self, actions: Any) -> None:  # noqa: ANN401
        """Keep the actions."""
        self._actions = actions

    def step_wait(self) -> Any:  # noqa: ANN401
        """Step all copies."""
        seen, reward, _, over, about = self._env.step(self._actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if over[0]:
            last = about["final_obs"]
            infos = [{"terminal_observation": own, "TimeLimit.truncated": True} for own in last]
        return seen, reward, over, infos

    def close(self) -> None:
        """Nothing to close."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:  # noqa: ANN401
        """The same of every copy."""
        return [getattr(self._env, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:  # noqa: ANN401
        """Refused: copies are one batch."""
        raise NotImplementedError("copies of a FirmVectorEnv have no attributes of their own")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:  # noqa: ANN401
        """Refused: copies are one batch."""
        raise NotImplementedError("copies of a FirmVectorEnv have no methods of their own")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:  # noqa: ANN401
        """No copy is wrapped."""
        return [False] * len(list(self._get_indices(indices)))


def train(budget: float, form: Form, vector: bool = False, seed: int = 0) -> dict[str, Any]:
    """PPO on 16 `FirmEnv` one after the other, or on 256 copies in one `FirmVectorEnv`."""
    judge = Judge(form, budget)
    about: dict[str, Any] = {"form": form, "scaling": SCALINGS[form], "reward_scale": 1.0 / judge.unit}
    make = functools.partial(FirmEnv, FIRM, **about)
    envs: VecEnv = SideBySide(FirmVectorEnv(FIRM, 256, **about)) if vector else DummyVecEnv([make] * 16)
    steps = 128 if vector else 256  # of each copy before an update
    model = PPO(
        "MlpPolicy",
        envs,
        n_steps=steps,
        batch_size=4096 if vector else 1024,
        n_epochs=EPOCHS,
        learning_rate=LEARNING_RATE,
        gamma=GAMMA,
        gae_lambda=GAE_LAMBDA,
        clip_range=CLIP,
        policy_kwargs={
            "net_arch": list(HIDDEN),
            "activation_fn": torch.nn.ReLU,
            "log_std_init": math.log(INITIAL_STD[form]),
        },
        device="cpu",
        seed=seed,
    )
    points = range(judge.world.points)

    def parts() -> Sequence[Part]:
        linear = [layer for layer in model.policy.mlp_extractor.policy_net if isinstance(layer, torch.nn.Linear)]
        layers = [
            (layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy())
            for layer in (*linear, model.policy.action_net)
        ]
        return [Part(points, points, layers)]

    lap, going = steps * envs.num_envs * 2, True
    judge.start()
    while going:
        model.learn(lap, reset_num_timesteps=False)
        going = judge.lap(lap, lambda: judge.networks(parts()))
    return judge.verdict()
