"""A small firm with customers, and everything that its departments need to act and to learn."""

import numpy as np
import torch

from departments.department import Department, DepartmentSpec
from departments.learning.ppo import PPOConfig
from departments.policies.loop import JOINT, RECOMMENDATION, LearnedLoop, Payment, roles
from departments.policies.policy import PolicyConfig
from departments.rules.ordering import delivered_cost
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

    def __init__(self, memory="none", *, joint=False, siloed=False, form="residual", firm=None, stir=0.2, **options):
        self.world, self.observer = world_of(firm or market(), **options)
        size = {"none": 1, "stack": 3, "gru": 5}[memory]
        policy = {"memory": memory, "memory_size": size, "hidden": (8,), "form": form}
        kinds = dict.fromkeys(self.world.firm.names, "replenishment") | {RECOMMENDATION: "recommendation"}
        if joint:
            kinds = {JOINT: "everything"}
        configs = {name: PolicyConfig(observation=kind, **policy) for name, kind in kinds.items()}
        self.roles = roles(self.world, self.observer, configs)
        self.role = {role.name: role for role in self.roles}
        self.names = [role.name for role in self.roles]
        self.snapshots = {
            role.name: stirred(role.first_snapshot(seed), seed, stir, version=0) for seed, role in enumerate(self.roles)
        }
        value = torch.as_tensor(delivered_cost(self.world.firm), dtype=self.world.dtype)
        weights = torch.tensor([[1.0, 1, 1], [0, 1, 0], [0, 0, 1]], dtype=self.world.dtype)
        self.payment = Payment(self.world, value, weights, siloed)

    def loop(self):
        return LearnedLoop(self.world, self.observer, self.roles, self.snapshots)

    def flat(self, name):
        return torch.tensor(self.snapshots[name].parameters)

    def department(self, name, law=None, **ppo):
        number, role = self.names.index(name), self.role[name]
        spec = DepartmentSpec(
            name, number, role.config, PPOConfig(minibatch=64, **ppo), None, 0, number, role=role, law=law
        )
        department = Department(spec)
        department.adopt(self.snapshots[name])
        return department


def after_some_periods(world, copies=4, periods=5, seed=3):
    """A state and a report in the middle of an episode of random decisions."""
    state, feedback = world.reset(copies), world.no_feedback(copies)
    chance, rng = world.draw(periods, copies, world.generator(seed)), np.random.default_rng(seed)
    for t in range(periods):
        order = torch.as_tensor(rng.integers(0, 9, tuple(state.on_hand.shape)), dtype=world.dtype)
        exposure = world.choice.feasible(torch.as_tensor(rng.random(tuple(feedback.exposure.shape)), dtype=world.dtype))
        after, outcome = world.step(state, order, chance.at(t), exposure)
        feedback = world.feedback(state, order, chance.at(t), exposure, after, outcome)
        state = after
    return state, feedback
