"""RLlib's multi-agent PPO on our ParallelEnv: a policy per department, all learning at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from judging import CLIP, EPOCHS, FIRM, GAE_LAMBDA, GAMMA, HIDDEN, INITIAL_STD, LEARNING_RATE, SCALINGS, Judge, Part

from coordinator.envs import FirmParallelEnv
from coordinator.envs.core import Form

_ENVS, _STEPS = 32, 128


def _prepared(module: Any, std: float) -> None:  # noqa: ANN401
    """Start where the others start: actions near 0, with their exploration."""
    with torch.no_grad():
        head = [layer for layer in module.pi.net.mlp if isinstance(layer, torch.nn.Linear)][-1]
        head.weight.mul_(0.01)
        head.bias.zero_()
        module.pi.log_std.fill_(torch.tensor(std).log())


def _part(judge: Judge, module: Any, name: str) -> Part:  # noqa: ANN401
    point = judge.world.firm.names.index(name)
    rows = judge.observer.rows("downstream", point)
    stack = [*module.encoder.actor_encoder.net.mlp, *module.pi.net.mlp]
    linear = [layer for layer in stack if isinstance(layer, torch.nn.Linear)]
    layers = [(layer.weight.detach().cpu().numpy(), layer.bias.detach().cpu().numpy()) for layer in linear]
    return Part(rows, [point], layers)


def train(budget: float, form: Form, seed: int = 0) -> dict[str, Any]:
    """PPO with 32 environments side by side in the process that learns."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).resolve().parents[1]), *filter(None, sys.path)])
    import ray
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
    from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
    from ray.rllib.core.rl_module.rl_module import RLModuleSpec
    from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
    from ray.tune.registry import register_env

    judge = Judge(form, budget)
    about: dict[str, Any] = {"form": form, "scaling": SCALINGS[form], "reward_scale": 1.0 / judge.unit}
    names = judge.world.firm.names
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    register_env("firm", lambda _: ParallelPettingZooEnv(FirmParallelEnv(FIRM, **about)))
    config = (
        PPOConfig()
        .environment("firm")
        .framework("torch")
        .debugging(seed=seed, log_level="ERROR")
        .env_runners(num_env_runners=0, num_envs_per_env_runner=_ENVS, rollout_fragment_length=_STEPS)
        .training(
            train_batch_size_per_learner=_ENVS * _STEPS,
            minibatch_size=1024,
            num_epochs=EPOCHS,
            lr=LEARNING_RATE,
            gamma=GAMMA,
            lambda_=GAE_LAMBDA,
            clip_param=CLIP,
            grad_clip=0.5,
            use_kl_loss=False,
            entropy_coeff=0.0,
            vf_clip_param=1e9,
        )
        .multi_agent(policies=set(names), policy_mapping_fn=lambda agent, *_, **__: agent)
        .rl_module(
            rl_module_spec=MultiRLModuleSpec(rl_module_specs={name: RLModuleSpec() for name in names}),
            model_config=DefaultModelConfig(
                fcnet_hiddens=list(HIDDEN), fcnet_activation="relu", vf_share_layers=False, free_log_std=True
            ),
        )
    )
    algorithm, going = config.build_algo(), True

    def start(learner: Any) -> None:  # noqa: ANN401
        for name in names:
            _prepared(learner.module[name], INITIAL_STD[form])

    algorithm.learner_group.foreach_learner(start)
    algorithm.env_runner_group.sync_weights(from_worker_or_learner_group=algorithm.learner_group, inference_only=True)
    try:
        judge.start()
        while going:
            algorithm.train()
            going = judge.lap(
                _ENVS * _STEPS,
                lambda: judge.networks([_part(judge, algorithm.get_module(name), name) for name in names]),
            )
    finally:
        algorithm.stop()
        ray.shutdown()
    return judge.verdict()
