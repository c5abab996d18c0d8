"""A firm as algorithms from elsewhere meet it: E copies, one array of actions in, features and costs out.

Knows neither Gymnasium nor PettingZoo; `coordinator.envs` gives it their faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from departments.decisions import Decision
from departments.numerics.actions import action_to_order
from departments.play.stepping import advance, before_the_first, feasible
from departments.policies.policy import RECOMMENDATION
from departments.rules.ordering import baseline_levels
from environment import Exogenous, Feedback, Firm, State, World, load_firm
from environment.observation import Observer, Scaling
from environment.streams import Stream, torch_stream

Form = Literal["plain", "residual"]
Array = NDArray[np.float32]
REACH = 2.0  # mean demands that a residual action can be away from the benchmark's order, either way


class GameSettings(TypedDict, total=False):
    """Arguments of `FirmCore` that every face of a firm takes too."""

    form: Form
    scaling: Scaling
    periods: int | None


class FirmCore:
    """Training episodes of a firm: chance of a whole episode is drawn when it begins, so it can be replayed.

    An action is one number in [-1, 1] for each stock point and product, then one for each segment and product of a
    firm with customers. Orders in the form `plain` are scaled to 0 .. max_order ([I]); `residual`: base-stock level -
    position + action times two mean demands, so that 0 is the benchmark (ours). An exposure is scaled to 0 .. 1; where
    a segment's exposures exceed its slots they are scaled down (our reading).
    """

    def __init__(
        self,
        firm: Firm | str,
        *,
        copies: int = 1,
        form: Form = "plain",
        scaling: Scaling = "bounds",
        periods: int | None = None,
    ) -> None:
        """Prepare a firm.

        Args:
            firm: a checked firm, the name of a built-in one, or a firm file.
            copies: E.
            form: what actions mean.
            scaling: of features; see `Observer`.
            periods: of an episode; the firm's training periods by default.

        Raises:
            ValueError: one line; the firm cannot be read, or an argument is out of range.
        """
        self.firm = load_firm(firm)
        self.firm.must_order_by_point("an action is")
        self.firm.must_leave_allocation("an action is")
        choose("form", form, get_args(Form))
        choose("scaling", scaling, get_args(Scaling))
        if RECOMMENDATION in self.firm.names and self.firm.customers:
            raise ValueError(f"stock_points: {RECOMMENDATION!r} is a department of its own; rename the stock point")
        self.periods = self.firm.periods.train if periods is None else periods
        for name, count in (("periods", self.periods), ("copies", copies)):
            if not isinstance(count, int) or count < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {count!r}")
        levels = baseline_levels(self.firm)
        self.world, self.copies = World(self.firm, levels), copies
        self.observer = Observer(self.world, levels, scaling).until(self.periods)
        self.orders = self.world.points * self.world.products  # numbers of an action that are orders
        self.exposures = 0 if self.world.choice is None else len(self.world.choice.names) * self.world.products
        self.period = self.periods  # no episode has begun
        self.chance: Exogenous  # of the episode, [T] periods
        self.state: State
        self._report: Feedback | None = None
        self._form = form
        size = (self.world.points, self.world.products, 1)
        self._level = self.observer.level.view(size)
        self._unit = REACH * self.observer.reach.view(size) if form == "residual" else self.world.max_order / 2.0

    @torch.inference_mode()
    def begin(self, seed: int) -> None:
        """Period 0 of an episode whose chance `seed` decides."""
        self.chance = self.world.draw(
            self.periods, self.copies, torch_stream(self.world.device, Stream.ENVIRONMENT, seed)
        )
        self.state, self.period = self.world.reset(self.copies), 0
        self._report = before_the_first(self.world, self.copies)

    @torch.inference_mode()
    def features(self, positions_only: bool = False) -> Array:
        """What there is to see, [G, E] scaled; the first rows are the positions."""
        if positions_only:
            return self.observer.features(self.state).numpy()
        return self.observer.all_features(self.state, self._report, self.period).numpy()

    @torch.inference_mode()
    def step(self, action: Array) -> NDArray[np.float64]:
        """Decide on a period and run the next one up to its accounts.

        Args:
            action: [orders + exposures, E] in [-1, 1]; beyond, the world clips what it means.

        Returns:
            Cost per stock point, [N, E] money: negative where more is earned. What stock is worth in the end is taken
            off the last period's.

        Raises:
            ValueError: an action of another shape, or one that is not a finite number.
            RuntimeError: the episode is over, or none has begun.
        """
        if self.period >= self.periods:
            raise RuntimeError("the episode is over, or none has begun: call reset()")
        action, wanted = np.asarray(action, dtype=np.float32), (self.orders + self.exposures, self.copies)
        if action.shape != wanted:
            raise ValueError(f"action must have the shape {wanted}, got {action.shape}")
        if not np.isfinite(action).all():
            raise ValueError("action must be finite numbers, got nan or an infinity: does the policy diverge?")
        world, now = self.world, self.chance.at(self.period)
        order, exposure = feasible(world, self.decision(torch.from_numpy(action), self.state), self.state, self.period)
        self.state, outcome, self._report = advance(world, self.state, order, exposure, now)
        self.period += 1
        cost = outcome.cost
        if self.over and (salvage := world.salvage(self.state)) is not None:
            cost = cost - salvage
        return cost.numpy().astype(np.float64)

    def decision(self, action: Tensor, state: State) -> Decision:
        """What an action [orders + exposures, E] means in a state of E copies."""
        world = self.world
        wished = action[: self.orders].view(world.points, world.products, -1)
        order = action_to_order(self._form, self._level - state.inventory_position, self._unit, wished)
        if world.choice is None:
            return Decision(order)
        exposures = action[self.orders :].view(-1, world.products, action.shape[1])
        return Decision(order, (exposures + 1.0) / 2.0)

    @property
    def over(self) -> bool:
        """Whether the episode is cut off here: by time, so a learner looks beyond (see docs/model.md)."""
        return self.period >= self.periods


def choose(field: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse with a ValueError a `value` that is not allowed."""
    if value not in allowed:
        raise ValueError(f"{field} must be one of {', '.join(allowed)}, got {value!r}")
