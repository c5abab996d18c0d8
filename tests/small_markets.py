"""A small firm with customers, and everything that its departments need to act and to learn."""

from dataclasses import replace

import numpy as np
import torch

from departments.department import Department
from departments.learning.ppo import PPOConfig
from departments.play.payment import OwnIndicators, Profit
from departments.play.stepping import advance
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import JOINT, RECOMMENDATION, PolicyConfig
from departments.policies.spec import DepartmentSpec
from environment import parse_firm
from tests.small_firms import stirred, world_of

MEMORIES = ("none", "stack", "gru")


def market(slots=1, train=24, salvage=1.5, **changes):
    """A depot, two stores, three products, the third not for west's customers; 24 periods are two chunks."""
    store = {
        "holding_cost": 0.3,
        "backorder_cost": 1,
        "max_order": 12,
        "price": {"a": 10, "b": 9, "c": 8},
        "salvage_value": salvage,
        "initial_on_hand": 9,
    }
    preference = {"a": 0.2, "b": -0.2, "c": -0.4}
    return parse_firm(
        {
            "name": "market",
            "unmet": "lost",
            "periods": {"train": train, "evaluate": train + 1, "warm_up": 0},
            "products": ["a", "b", "c"],
            "stock_points": {
                "depot": {
                    "holding_cost": 0.1,
                    "max_order": 30,
                    "unit_cost": {"a": 6, "b": 5, "c": 4},
                    "salvage_value": salvage,
                    "initial_on_hand": 20,
                },
                "east": store,
                "west": store | {"holding_cost": 0.5, "unit_cost": 0.25},
            },
            "customers": {
                "east": {
                    "slots": slots,
                    "season": {"amplitude": 0.3, "period": 8},
                    "segments": {
                        "old": {
                            "traffic": 7,
                            "preference": preference,
                            "uplift": 1.5,
                            "persistence": 0.9,
                            "volatility": 0.2,
                        },
                        "young": {"traffic": 5, "preference": 0, "uplift": 2},
                    },
                },
                "west": {
                    "slots": slots,
                    "segments": {"all": {"traffic": 8, "preference": {"a": 0, "b": 0.3}, "uplift": 1.5}},
                },
            },
            "supply": [
                {"from": "outside", "to": "depot", "lead_time": {"law": "uniform", "low": 2, "high": 3}},
                {"from": "depot", "to": "east", "lead_time": 1, "initial_pipeline": 3},
                {"from": "depot", "to": "west", "lead_time": {"law": "uniform", "low": 1, "high": 2}},
            ],
        }
        | changes
    )


class Company:
    """The market with a department for each decision and policies that do something."""

    def __init__(
        self, memory="none", *, joint=False, siloed=False, form="residual", firm=None, stir=0.2, over="joint", **options
    ):
        self.world, self.observer = world_of(firm or market(), **options)
        size = {"none": 1, "stack": 3, "gru": 5}[memory]
        policy = {"memory": memory, "memory_size": size, "hidden": (8,), "form": form, "over_products": over}
        kinds = dict.fromkeys(self.world.firm.names, "replenishment") | {RECOMMENDATION: "recommendation"}
        if joint:
            kinds = {JOINT: "everything"}
        configs = {name: PolicyConfig(observation=kind, **policy) for name, kind in kinds.items()}
        self.specs = [
            DepartmentSpec.of(self.world, self.observer, name, config, seed=seed)
            for seed, (name, config) in enumerate(configs.items())
        ]
        self.spec = {spec.name: spec for spec in self.specs}
        self.names = [spec.name for spec in self.specs]
        self.snapshots = {spec.name: stirred(spec.first_snapshot(), spec.seed, stir, version=0) for spec in self.specs}
        weights = np.array([[1.0, 1, 1], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
        self.payment = OwnIndicators(weights, self.world) if siloed else Profit(self.world)

    def reward(self, played, learning=None):
        """What those who learned are paid, [T, A, E]."""
        return self.payment.reward([self.spec[name].number for name in learning or self.names], played.account)

    def policy(self):
        return FirmPolicy(self.world, self.observer, list(self.snapshots.values()))

    def flat(self, name):
        return torch.tensor(self.snapshots[name].parameters)

    def department(self, name, law=None, **ppo):
        department = Department(replace(self.spec[name], ppo=PPOConfig(minibatch=64, **ppo), law=law))
        department.adopt(self.snapshots[name])
        return department


def after_some_periods(world, copies=4, periods=5, seed=3):
    """A state and a report in the middle of an episode of random decisions."""
    state, feedback = world.reset(copies), world.no_feedback(copies)
    chance, rng = world.draw(periods, copies, world.generator(seed)), np.random.default_rng(seed)
    for t in range(periods):
        order = torch.as_tensor(rng.integers(0, 9, tuple(state.on_hand.shape)), dtype=world.dtype)
        exposure = world.choice.feasible(torch.as_tensor(rng.random(tuple(feedback.exposure.shape)), dtype=world.dtype))
        state, _, feedback = advance(world, state, order, exposure, chance.at(t))
    return state, feedback
