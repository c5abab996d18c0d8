"""One judge for all trainings: a clock that stops while policies are evaluated, and our evaluation of all of them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coordinator.envs.core import REACH, Form
from departments.decisions import OrdersAlone, Policy
from departments.play.episode import run_costs, shards
from departments.rules.ordering import BaseStock, baseline_levels
from environment import State, World, load_firm
from environment.observation import Observer, Scaling

FIRM = "a1"
GAMMA, GAE_LAMBDA, LEARNING_RATE, EPOCHS, CLIP = 0.95, 0.8, 1e-3, 4, 0.2  # ours; everyone learns with them
HIDDEN = (64, 64)
MARGINS = (1, 5)  # per cent of the benchmark's cost whose saving is timed
GOAL = 2160.0  # money an episode, which is timed, too: what good policies that see all positions cost
_SELECTION, _REPORT, _SELECTION_EPISODES, _REPORT_EPISODES = 11, 12, 1024, 4096
SCALINGS: dict[Form, Scaling] = {"residual": "standard", "plain": "bounds"}
INITIAL_STD: dict[Form, float] = {"residual": 0.3 / REACH, "plain": 1.0}  # residual: 0.3 mean demands, as ours


class Part(NamedTuple):
    """A network and what it decides: relu between layers, its output clipped to [-1, 1]."""

    rows: Sequence[int]  # of the features
    points: Sequence[int]  # stock points whose orders are its output
    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]  # weight [out, in] and bias [out] of each


class Networks(OrdersAlone):
    """Networks from anywhere as a policy of the firm."""

    def __init__(self, world: World, observer: Observer, form: Form, parts: Sequence[Part]) -> None:
        """Let `parts` act; what their actions mean is as in `coordinator.envs.core`."""
        self._observer, self._form = observer, form
        self._parts = [
            (list(rows), list(points), [(torch.tensor(weight), torch.tensor(bias)) for weight, bias in layers])
            for rows, points, layers in parts
        ]
        self._level, self._reach = observer.level.view(-1, 1), REACH * observer.spread.view(-1, 1)
        self._half = world.max_order[:, 0] / 2.0

    def order(self, world: World, state: State) -> Tensor:
        """Wished orders without exploration, [N, 1, E] units."""
        features = self._observer.features(state)
        action = torch.empty(world.points, features.shape[-1])
        for rows, points, layers in self._parts:
            value = features[rows]
            for number, (weight, bias) in enumerate(layers):
                value = torch.addmm(bias[:, None], weight, value if number == 0 else value.relu())
            action[points] = value.clamp(-1.0, 1.0)
        if self._form == "plain":
            return ((action + 1.0) * self._half).unsqueeze(1)
        return (self._level + self._reach * action).unsqueeze(1) - state.inventory_position


class Judge:
    """Clocks a training and knows the best of its policies."""

    def __init__(self, form: Form, budget: float) -> None:
        """Prepare the episodes; `budget` is in seconds of training."""
        firm = load_firm(FIRM)
        self.levels, self.form, self.budget = baseline_levels(firm), form, budget
        self.world = World(firm, self.levels)
        self.observer = Observer(self.world, self.levels, SCALINGS[form])
        self.unit = float((firm.amounts("holding_cost") * self.levels).sum())  # money: rewards are -cost / unit
        self.benchmark = BaseStock("benchmark", self.levels)
        self.benchmark_cost = self.cost(self.benchmark)[0]
        self.reached: dict[str, float] = {}
        self.best: tuple[float, Policy] = (math.inf, self.benchmark)
        self._seconds, self._steps, self._rates, self._started = 0.0, 0, list[float](), 0.0

    def cost(
        self, policy: Policy, stream: int = _SELECTION, episodes: int = _SELECTION_EPISODES
    ) -> tuple[float, float]:
        """Mean cost of an episode and its standard error, the same episodes for everyone."""
        parts = [run_costs(self.world, policy, chance).sum(0) for chance in shards(self.world, episodes, 0, stream)]
        costs = torch.cat(parts).to(torch.float64)
        return float(costs.mean()), float(costs.std() / math.sqrt(len(costs)))

    def networks(self, parts: Sequence[Part]) -> Networks:
        """Networks acting in this judge's world."""
        return Networks(self.world, self.observer, self.form, parts)

    def start(self) -> None:
        """Training begins, or goes on."""
        self._started = time.perf_counter()

    def lap(self, steps: int, policy: Callable[[], Policy]) -> bool:
        """`steps` more were learned from since `start`; evaluate, and say whether there is time for more."""
        taken = time.perf_counter() - self._started
        self._seconds, self._steps = self._seconds + taken, self._steps + steps
        self._rates.append(steps / taken)
        candidate = policy()
        cost = self.cost(candidate)[0]
        self.note(cost, self._seconds, self._steps)
        if cost < self.best[0]:
            self.best = (cost, candidate)
        self.start()
        return self._seconds < self.budget

    def note(self, cost: float, seconds: float, steps: int) -> None:
        """After `seconds` and `steps` there was a policy of that cost: remember when margins were first reached."""
        marks = {str(margin): (1.0 - margin / 100.0) * self.benchmark_cost for margin in MARGINS} | {"goal": GOAL}
        for mark, most in marks.items():
            if cost <= most:
                self.reached.setdefault(f"seconds_to_{mark}", seconds)
                self.reached.setdefault(f"steps_to_{mark}", steps)

    def verdict(self) -> dict[str, Any]:
        """What stands in the table; the first lap, in which everything warms up, does not count for the speed."""
        mean, error = self.cost(self.best[1], _REPORT, _REPORT_EPISODES)
        speed = {"steps_per_second": statistics.median(self._rates[1:] or self._rates)} if self._rates else {}
        return {
            "cost": mean,
            "standard_error": error,
            "steps": self._steps,
            "seconds": self._seconds,
            "benchmark": self.cost(self.benchmark, _REPORT, _REPORT_EPISODES)[0],
            **speed,
            **self.reached,
        }
