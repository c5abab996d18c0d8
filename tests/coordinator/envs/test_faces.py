"""Firms as PettingZoo and Gymnasium environments: the officials' checks, and the same episodes as the World's."""

import builtins
import importlib
import pickle
import re
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from pettingzoo.test import parallel_api_test, parallel_seed_test
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as check_env_for_stable_baselines

from coordinator.envs import FirmEnv, FirmParallelEnv, FirmVectorEnv
from coordinator.envs.core import FirmCore
from coordinator.envs.sb3 import FirmVecEnv
from coordinator.evaluation.evaluate import evaluate
from departments.play.episode import shards
from departments.rules.ordering import BaseStock, baseline_levels
from environment import World
from environment.observation import Observer
from tests.small_firms import pair, tree
from tests.small_markets import market

FIRMS = {
    "one product": pair,
    "two products, lost sales": lambda: tree(("tea", "jam"), "lost"),
    "customers who choose": market,
}
unbounded = pytest.mark.filterwarnings(
    "ignore:.*(A Box observation space (minimum|maximum) value is|For Box .* spaces).*:UserWarning"
)


@pytest.fixture(params=FIRMS)
def firm(request):
    return FIRMS[request.param]()


def _actions(env, rng):
    return {name: rng.uniform(-1, 1, env.action_space(name).shape).astype(np.float32) for name in env.agents}


@unbounded
def test_pettingzoo_accepts_the_departments(firm):
    parallel_api_test(FirmParallelEnv(firm), num_cycles=60)
    parallel_seed_test(lambda: FirmParallelEnv(firm))


@unbounded
def test_gymnasium_and_stable_baselines_accept_the_firm_as_one_agent(firm):
    check_env(FirmEnv(firm, observation="pipeline"), skip_render_check=True)
    check_env_for_stable_baselines(FirmEnv(firm, form="residual"), skip_render_check=True)


@pytest.mark.parametrize(("reward", "payers"), [("own", [[1, 0], [0, 1]]), ("downstream", [[1, 1], [0, 1]])])
def test_departments_play_what_the_world_plays_on_the_same_chance_to_the_last_bit(reward, payers):
    firm = pair()
    env, world = FirmParallelEnv(firm, reward=reward, reward_scale=1.0), World(firm, baseline_levels(firm))
    observer, rng = Observer(world, baseline_levels(firm), "bounds"), np.random.default_rng(4)
    seen, _ = env.reset(seed=9)
    state, chance, periods = world.reset(1), env.game.chance, 0
    while env.agents:
        features = observer.features(state)[:, 0].numpy()
        np.testing.assert_array_equal(seen["warehouse"], features)
        np.testing.assert_array_equal(seen["shop"], features[1:])
        actions = _actions(env, rng)
        wished = torch.from_numpy(np.stack([actions["warehouse"], actions["shop"]])).view(2, 1, 1)
        order = (wished + 1) * world.max_order / 2
        seen, rewards, terminated, truncated, infos = env.step(actions)
        state, outcome = world.step(state, world.feasible(order, state.inventory_position, periods), chance.at(periods))
        periods += 1
        cost = outcome.cost[:, 0].numpy().astype(np.float64)
        assert rewards == {name: -float(np.dot(w, cost)) for name, w in zip(firm.names, payers, strict=True)}
        assert infos["shop"] == {"cost": float(cost.sum())}
        assert not any(terminated.values())
        assert set(truncated.values()) == {periods == firm.periods.train}
    assert periods == firm.periods.train


def test_recommendations_reach_the_customers_and_everyone_is_paid_the_profit_with_what_stock_is_worth_in_the_end():
    firm = market()
    env, world, rng = (
        FirmParallelEnv(firm, reward_scale=1.0),
        World(firm, baseline_levels(firm)),
        np.random.default_rng(1),
    )
    env.reset(seed=2)
    state, profit, paid, period = world.reset(1), 0.0, [], 0
    points, products = world.points, world.products
    while env.agents:
        actions = _actions(env, rng)
        shown = torch.from_numpy(actions["recommendation"]).view(-1, products, 1)
        exposure = world.chosen().feasible((shown + 1) / 2)
        wished = torch.from_numpy(np.stack([actions[name] for name in firm.names])).view(points, products, 1)
        order = world.feasible((wished + 1) * world.max_order / 2, state.inventory_position, period)
        _, rewards, *_ = env.step(actions)
        state, outcome = world.step(state, order, env.game.chance.at(period), exposure)
        profit -= float(outcome.cost.sum())
        assert len(set(rewards.values())) == 1
        paid.append(rewards["recommendation"])
        period += 1
    assert float(world.salvage(state).sum()) > 0
    assert sum(paid) == pytest.approx(profit + float(world.salvage(state).sum()), rel=1e-6)


def test_the_residual_action_of_zero_is_the_benchmark():
    firm = tree()
    env, world = FirmEnv(firm, form="residual", reward_scale=1.0), World(firm, baseline_levels(firm))
    env.reset(seed=5)
    rule, state, chance = BaseStock("benchmark", baseline_levels(firm)), world.reset(1), env.game.chance
    for t in range(firm.periods.train):
        _, reward, _, truncated, _ = env.step(np.zeros(env.action_space.shape, dtype=np.float32))
        state, outcome = world.step(
            state, world.feasible(rule.order(world, state), state.inventory_position, t), chance.at(t)
        )
        assert reward == -float(outcome.cost.numpy().astype(np.float64).sum())
    assert truncated


def test_copies_side_by_side_are_a_copy_each_and_begin_again_together():
    firm, copies = tree(), 3
    env = FirmVectorEnv(firm, copies)
    one = FirmEnv(firm)
    first, _ = env.reset(seed=8)
    rng, chance = np.random.default_rng(3), env.game.chance
    actions = rng.uniform(-1, 1, (firm.periods.train, *env.action_space.shape)).astype(np.float32)
    many = [env.step(action) for action in actions]
    np.testing.assert_array_equal(first, np.repeat(first[:1], copies, 0))
    for copy in range(copies):
        one.reset(seed=0)
        one.game.chance = type(chance)(*(None if part is None else part[..., copy : copy + 1] for part in chance))
        for t, (seen, rewards, terminated, truncated, info) in enumerate(many):
            own, reward, _, over, _ = one.step(actions[t, copy])
            np.testing.assert_array_equal(own, info["final_obs"][copy] if over else seen[copy])
            assert rewards[copy] == np.float32(reward)
            assert truncated[copy] == over
            assert not terminated[copy]
    np.testing.assert_array_equal(many[-1][0], first)  # period 0 again
    assert not torch.equal(env.game.chance.demand, chance.demand)
    assert env.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.SAME_STEP


def test_a_seed_names_an_episode_and_the_ones_that_follow():
    def episodes(seed):
        env = FirmVectorEnv(pair(), 2)
        env.reset(seed=seed)
        first = env.game.chance.demand
        env.reset()
        return first, env.game.chance.demand

    assert all(map(torch.equal, episodes(1), episodes(1)))
    assert not torch.equal(*episodes(1))
    assert not torch.equal(episodes(1)[0], episodes(2)[0])


def test_the_next_step_begins_a_new_episode_where_that_is_asked_for():
    """The same costs as where it begins in the same step, with a step between that nobody is paid for."""
    idle = np.zeros((3, 2), dtype=np.float32)
    same = FirmVectorEnv(pair(), 3, periods=4)
    later = FirmVectorEnv(pair(), 3, periods=4, autoreset=AutoresetMode.NEXT_STEP)
    assert later.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    starts = same.reset(seed=5)[0], later.reset(seed=5)[0]
    np.testing.assert_array_equal(*starts)
    for _episode in range(2):
        for _ in range(4):
            (seen, paid, _, over, info), (seen_later, paid_later, _, over_later, told) = (
                same.step(idle),
                later.step(idle),
            )
            np.testing.assert_array_equal(paid, paid_later)
            np.testing.assert_array_equal(over, over_later)
            np.testing.assert_array_equal(info.get("final_obs", seen), seen_later)
            assert "final_obs" not in told
        begun, nothing, _, over, _ = later.step(idle)
        assert (begun == seen).all()
        assert not nothing.any()
        assert not over.any()


class Follows:
    """Answers by a linear rule, whatever the number of copies."""

    def __init__(self, inputs, outputs):
        self.weights = np.random.default_rng(1).normal(0, 0.3, (inputs, outputs)).astype("f4")

    def predict(self, observation, *, deterministic):
        assert deterministic
        return np.clip(observation @ self.weights, -1, 1), None


@pytest.mark.parametrize("firm", [pair(), market()], ids=lambda firm: firm.name)
def test_a_model_of_theirs_is_evaluated_as_it_acts_in_its_env(firm):
    env = FirmEnv(firm, form="residual", scaling="benchmark", periods=firm.periods.evaluate - 1)
    model = Follows(*env.observation_space.shape, *env.action_space.shape)
    rule = "none" if firm.customers else "decomposition-aggregation"
    found = evaluate(firm, {"theirs": env.policy(model), "rule": rule}, episodes=4)
    world = World(firm, baseline_levels(firm))
    (chance,) = shards(world, 4, 0)
    core = FirmCore(firm, copies=4, form="residual", scaling="benchmark", periods=firm.periods.evaluate - 1)
    core.begin(0)
    core.chance = chance
    costs = []
    while not core.over:
        seen = core.features(positions_only=not firm.customers)
        costs.append(core.step(model.predict(seen.T, deterministic=True)[0].T).sum(0))
    counted = np.sum(costs[max(firm.periods.warm_up - 1, 0) :], 0)
    if not firm.periods.warm_up:
        counted = counted + world.holding(world.reset(4)).sum(0).numpy()
    np.testing.assert_allclose(found.results["theirs"].cost, counted, rtol=1e-5)
    with pytest.raises(ValueError, match="asked for actions of the shape"):
        evaluate(firm, {"theirs": env.policy(Follows(*env.observation_space.shape, 1))}, episodes=2)


def test_stable_baselines3_learns_on_many_copies_at_once():
    envs = FirmVecEnv(pair(), 8, periods=5)
    model = PPO("MlpPolicy", envs, n_steps=16, batch_size=32, n_epochs=1, seed=3).learn(128)
    assert model.num_timesteps == 128
    envs.seed(4)
    assert envs.reset().shape == (8, *FirmEnv(pair()).observation_space.shape)
    for t in range(5):
        _, _, over, infos = envs.step(np.zeros((8, 2), dtype=np.float32))
        assert over.all() == (t == 4)
    assert all(info["TimeLimit.truncated"] and info["terminal_observation"].shape == (2,) for info in infos)
    with pytest.raises(NotImplementedError, match="one batch"):
        envs.set_attr("game", None)


@pytest.mark.parametrize("kind", [FirmEnv, FirmParallelEnv])
def test_an_env_is_pickled_as_its_arguments(kind):
    env = pickle.loads(pickle.dumps(kind(pair(), form="residual", periods=3)))
    assert env.game.periods == 3
    assert env.game.firm == pair()
    env.reset(seed=0)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: FirmEnv("a9"), "a9"),
        (lambda: FirmEnv(pair(), form="delta"), "form must be one of plain, residual, got 'delta'"),
        (lambda: FirmEnv(pair(), observation="own"), "observation must be one of everything, pipeline, got 'own'"),
        (lambda: FirmEnv(pair(), periods=0), "periods must be a whole number of at least 1, got 0"),
        (lambda: FirmVectorEnv(pair(), 0), "copies must be a whole number of at least 1, got 0"),
        (
            lambda: FirmVectorEnv(pair(), 2, autoreset=AutoresetMode.DISABLED),
            "autoreset must be SAME_STEP or NEXT_STEP",
        ),
        (lambda: FirmVectorEnv(pair(), 2).reset(seed=[1, 2]), "seed must be one whole number"),
        (lambda: FirmParallelEnv(pair(), reward="profit"), "reward must be one of own, downstream, network"),
        (lambda: FirmParallelEnv(pair(), observation="replenishment"), "and pair has none; use own"),
    ],
)
def test_arguments_out_of_range_are_refused_in_one_line(make, line):
    with pytest.raises(ValueError, match=line) as refusal:
        make()
    assert "\n" not in str(refusal.value)


def test_actions_that_are_none_are_refused_by_the_name_of_their_agent():
    env = FirmParallelEnv(pair())
    with pytest.raises(RuntimeError, match="call reset"):
        FirmEnv(pair()).step(np.zeros(2, dtype=np.float32))
    env.reset(seed=0)
    good = {name: np.zeros(1, dtype=np.float32) for name in env.agents}
    with pytest.raises(ValueError, match="got none for shop"):
        env.step({"warehouse": good["warehouse"]})
    with pytest.raises(ValueError, match=r"action of shop must have the shape \(1,\), got \(2,\)"):
        env.step(good | {"shop": np.zeros(2, dtype=np.float32)})
    with pytest.raises(ValueError, match="finite"):
        env.step(good | {"shop": np.full(1, np.nan, dtype=np.float32)})
    assert env.step(good)[1].keys() == good.keys()  # a refused step has changed nothing


def test_the_example_of_the_docs_runs(capsys):
    text = (Path(__file__).parents[3] / "docs" / "training.md").read_text()
    (example,) = [found for found in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "FirmVectorEnv" in found]
    found = {}
    exec(example, found)
    assert found["model"].num_timesteps == 1024
    assert not found["env"].agents


def test_without_the_extra_one_line_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def lacking(name, *rest, **named):
        if name == "gymnasium":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest, **named)

    monkeypatch.delitem(sys.modules, "coordinator.envs.faces")
    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(ImportError, match=r"needs gymnasium, .*: pip install 'firmwide\[envs\]'"):
        importlib.import_module("coordinator.envs.faces")
