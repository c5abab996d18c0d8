"""What a department is: what it decides, what it sees, by which network, and how it learns.

A firm without customers has a replenishment department per stock point, or one for all (`firm`); they look at stock and
add to base-stock levels. Those of a firm with customers (`closed_loop`) also hear of the last period, add to the
forecast-driven rule, may remember, and one of them recommends (`recommendation`), or one does everything (`joint`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from departments.learning.ppo import PPOConfig
from departments.learning.timescale import StepLaw
from departments.numerics.actions import SHARPNESS
from departments.numerics.graph import ActingGraph, AnyShapes, Graph, GraphShapes
from departments.numerics.heads import Head, gaussian_log_density
from departments.numerics.memory import ActingNetwork, MemoryNetwork
from departments.numerics.native import Loops, Meaning, Move, decider_of, loops_of
from departments.numerics.networks import Activation, Shapes
from departments.policies.over_points import OverPoints
from departments.policies.policy import FIRM, JOINT, MANY_PRODUCTS, RECOMMENDATION, PolicyConfig, Snapshot
from departments.rules.recommendation import places
from environment import World
from environment.choice import Choice
from environment.network import LEARNED
from environment.observation import Observer
from environment.streams import Stream, torch_stream

_CLOSED_LOOP = ("replenishment", "recommendation", "customers")  # observation sets of firms with customers


@dataclass(frozen=True)
class DepartmentSpec:
    """What defines a department: who it is, how it decides and how it learns."""

    name: str
    number: int  # names its random streams: that of its stock point, N if it has none or all, 0 if it does everything
    points: tuple[int, ...]  # stock points whose orders it decides
    places: tuple[int, ...]  # of these orders, and of precedence of its lines, among the firm's O + A decisions
    recommends: bool
    policy: PolicyConfig
    rows: tuple[int, ...]  # of the features, what it sees
    head: Head
    network: MemoryNetwork | GraphShapes
    mask: Tensor | None = None  # [S, K, 1] which products it may recommend
    hints: int = 0  # how much it sees of its rule behind its features: wished orders, then scores of offers
    closed_loop: bool = False  # of a firm with customers, whose feedback it hears
    clones: int = 1  # products that share its network, which sees and decides each as if it were alone; 1: joint
    traits: Tensor | None = None  # [T, clones] of each what does not change, the last features that it sees
    alternatives: Tensor | None = None  # [C, K] exposures that it chooses among; None: a product each, and nothing
    seed: int = 0  # of version 0
    ppo: PPOConfig = field(default_factory=PPOConfig)
    law: StepLaw | None = None  # of its learning rate; None: the constant one of `ppo`
    device: str = "cpu"
    compiled: bool = True  # whether it learns in C++ where the machine has a compiler
    over_points: OverPoints | None = None  # how its network comes of one for all stock points, if there is one

    @classmethod
    def of(
        cls,
        world: World,
        observer: Observer,
        name: str,
        policy: PolicyConfig,
        **learning: Any,  # noqa: ANN401
    ) -> DepartmentSpec:
        """The department of that name: a stock point, or what `FIRM`, `JOINT` and `RECOMMENDATION` say.

        `learning` are fields that say how it learns.

        Raises:
            ValueError: one line; the firm has no such department, or it cannot have such a policy.
        """
        names, products, everything = world.firm.names, world.products, tuple(range(world.points))
        joint, recommends = name == JOINT and name not in names, name == RECOMMENDATION and name not in names
        number, points = point_of(name, names), everything
        if name in names or recommends:
            points = () if recommends else (number,)
        closed_loop = joint or policy.observation in _CLOSED_LOOP
        if joint and policy.observation == "everything":
            rows = [row for row in range(observer.size) if row not in observer.clock_rows]
        else:
            rows = observer.rows(policy.observation, number if points else 0)
        if policy.clock and closed_loop:
            rows += observer.clock_rows
        shared = _shares(policy, products) and not (joint or recommends)
        policy = policy.model_copy(update={"over_products": "shared" if shared else "joint"})
        clones, traits = (products, observer.traits[list(points)].flatten(0, 1)) if shared else (1, None)
        rows = observer.for_each_product(rows) if shared else rows
        own = [place for point in points for place in world.network.decisions_of(point)]
        if policy.hybrid and any(world.network.rationing[point] == LEARNED for point in points):
            raise ValueError(f"policy.hybrid and allocation learned do not go together; leave it out for {name}")
        head, mask, alternatives = Head(len(own) * products // clones, hybrid=policy.hybrid), None, None
        if joint or recommends:
            choice = world.chosen()
            slots = {int(slot) for slot in choice.slots.flatten()}
            if len(slots) > 1:
                raise ValueError(
                    f"customers: all stock points must have the same number of slots to be learned, got {sorted(slots)}"
                )
            head, mask = Head(len(points) * products, len(choice.names), products, slots.pop()), choice.sold
            if policy.parts > 1:
                alternatives = torch.as_tensor(places(world, policy.parts), device=world.device, dtype=world.dtype)
                head = Head(head.orders, head.segments, len(alternatives) - 1)
                mask = ~((alternatives[:-1] > 0.0) & ~choice.sold.mT).any(-1, keepdim=True)
        hints = head.outputs * clones if closed_loop and policy.form == "residual" else 0
        inputs = (len(rows) + hints) // clones + (0 if traits is None else len(traits))
        network = _network(observer, policy, points, inputs, head, closed_loop)
        over_points = None
        if policy.over_points == "shared":
            if not isinstance(network, MemoryNetwork):
                raise ValueError("policy.graph and policy.over_points do not go together; leave one of them out")
            _must_be_like_others(policy, name, points, head, closed_loop)
            over_points = OverPoints.of(observer, number, rows, network)
        where = (name, number, points, tuple(own))
        who = (*where, joint or recommends, policy, tuple(rows), head, network, mask)
        more = (hints, closed_loop, clones, traits, alternatives)
        return cls(*who, *more, over_points=over_points, **learning)

    def columns(self, seen: Tensor) -> Tensor:
        """What its network sees, [.., inputs, clones E], of its rows and hints [.., rows + hints, E].

        Clones stand beside each other as copies do: those of the first product first. So do actions [.., actions,
        clones E], log probabilities and memories.
        """
        if self.traits is None:
            return seen
        columns = seen.reshape(*seen.shape[:-2], -1, self.clones * seen.shape[-1])
        traits = self.traits.repeat_interleave(seen.shape[-1], -1)
        return torch.cat((columns, traits.expand(*seen.shape[:-2], *traits.shape)), -2)

    def shown(self, action: Tensor) -> Tensor:
        """The exposures [S, K, E] that an action [actions, E] stands for."""
        if self.alternatives is None:
            return self.head.exposure(action)
        return self.alternatives[action[self.head.orders :].long()].mT

    def chance(self, output: Tensor) -> Tensor:
        """What its outputs [outputs, E] are expected to show in the first slot, [S, K, E]."""
        chance = self.head.probability(output.T, self.mask)
        return (chance if self.alternatives is None else chance @ self.alternatives[:-1]).permute(1, 2, 0)

    def sway(self, choice: Choice, output: Tensor, action: Tensor) -> Tensor:
        """What a customer buys more for what is shown, [S, K, E] units, of which only the gradient by `output` counts.

        See `Head.leanings`. Slots are changed one at a time, the others left as they are; what stands in another slot
        and would come sooner or later changes nothing.

        Args:
            choice: the customers'.
            output: [outputs, E].
            action: [actions, E] what was drawn.
        """
        leanings, shown, dtype = self.head.leanings(output, self.mask, action), self.shown(action), output.dtype
        bought = choice.probability(choice.feasible(shown)).to(dtype)
        places = self.alternatives
        if places is None:
            unit = torch.eye(self.head.products, device=output.device, dtype=dtype)
            places = torch.cat((unit, torch.zeros_like(unit[:1])))
        chosen = action[self.head.orders :].view(self.head.segments, self.head.slots, -1)
        number = torch.arange(self.head.products, device=output.device)[:, None]
        total = torch.zeros_like(bought)
        for slot, leaning in enumerate(leanings):
            offers = places.T.unsqueeze(-1)  # [K, C, 1]
            if self.head.slots > 1:
                others = shown - (chosen[:, slot, None] == number).to(dtype)
                there = torch.nn.functional.pad(others, (0, 0, 0, 1)).unsqueeze(1) > 0.0  # [S, 1, C, E]
                offers = torch.where(there, shown.unsqueeze(2), others.unsqueeze(2) + offers)
            offers = offers.expand(self.head.segments, -1, -1, -1)
            instead = choice.probability(choice.feasible(offers.flatten(2))).view(offers.shape).to(dtype)
            swaps = torch.einsum("esc,skce->ske", leaning, instead.expand(-1, -1, -1, bought.shape[-1]))
            total = total + leaning.sum(-1).T.unsqueeze(1) * bought - swaps
        return total

    @property
    def aware(self) -> bool:
        """Whether its recommendations may look at stock."""
        return self.policy.observation != "customers"

    @property
    def activation(self) -> Activation:
        """Of its network."""
        return self.policy.activation

    @property
    def recorded(self) -> int:
        """Length of what is recorded of an observation for learning."""
        return self.network.recorded

    @property
    def remembered(self) -> int:
        """Length of its memory."""
        return self.network.remembered

    @property
    def shapes(self) -> AnyShapes | None:
        """Its network, if it is one from an observation alone to mean orders: such act and learn in batches."""
        network = self.network
        if self.closed_loop or self.head.hybrid or isinstance(network, GraphShapes):
            return network if isinstance(network, GraphShapes) else None
        return Shapes(network.observed, network.hidden, network.outputs)

    @property
    def native(self) -> bool:
        """Whether its network is one of those that learn and act in C++."""
        return self.activation == "relu"

    @property
    def gated(self) -> bool:
        """Whether its memory is learned through."""
        return self.network.kind == "gru"

    @property
    def learned(self) -> MemoryNetwork | GraphShapes:
        """The network whose parameters are learned and kept: its own, or the one that is for all stock points."""
        return self.network if self.over_points is None else self.over_points.network

    def own(self, flat: Tensor) -> Tensor:
        """The parameters of its own network, flat, of those that are learned and kept."""
        return flat if self.over_points is None else self.over_points.of_point(flat)

    def log_std(self, flat: Tensor) -> Tensor:
        """The log standard deviations in a flat vector of parameters, [orders]."""
        return flat[self.learned.count - self.head.orders :]

    def usual_orders(self, flat: Tensor) -> Tensor:
        """The biases of its orders in a flat vector of parameters, [orders]."""
        first = self.learned.count - self.head.orders - self.head.outputs
        return flat[first : first + self.head.orders]

    def acting(self, flat: Tensor) -> ActingNetwork | ActingGraph:
        """Its network ready to act with these parameters."""
        network = self.network
        return ActingGraph(network, flat, self.activation) if isinstance(network, GraphShapes) else network.acting(flat)

    def loops(self, flat: Tensor) -> Loops | None:
        """The compiled loops of its network on these parameters, in place; None where it has none."""
        return loops_of(self.network, flat, self.activation) if self.compiled else None

    def deciding(self, flat: Tensor) -> Callable[[Tensor, Tensor, Tensor | None], Move]:
        """What it does on an observation [F, E], a memory [remembered, E] and noise [noise, E] or none; see `Move`.

        In C++ where that can be, else in PyTorch.
        """
        decider = None
        if self.compiled and not flat.requires_grad:
            decider = decider_of(self.network, self.meaning, flat, self.activation)
        if decider is not None:
            return decider
        network = self.acting(flat)

        def decide(observation: Tensor, memory: Tensor, noise: Tensor | None) -> Move:
            output, recorded, memory = network(observation, memory)
            output = self.with_rule(output.T, observation.T).T
            return Move(output, *self.head.act(output, self.mask, noise), recorded, memory)

        return decide

    @property
    def _scores(self) -> int | None:
        """Where in an observation its rule's scores of offers begin, if a recommendation starts from them."""
        if not (self.hints and self.recommends):
            return None
        return len(self.rows) + self.hints - (self.head.outputs - self.head.orders)

    @property
    def meaning(self) -> Meaning:
        """What the outputs of its network mean, and what its rule adds to them."""
        return Meaning(self.head, self.mask, self._scores, SHARPNESS)

    def with_rule(self, output: Tensor, observation: Tensor) -> Tensor:
        """Outputs [..., outputs] plus what the rule says: a recommendation starts from the scores in the observation.

        Orders need nothing here: their actions are what is added to the rule's order.
        """
        if self._scores is None:
            return output
        scores = observation[..., self._scores : len(self.rows) + self.hints]
        return output + torch.nn.functional.pad(scores * SHARPNESS, (self.head.orders, 0))

    def log_prob(self, flat: Tensor, observation: Tensor, memory: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Log probabilities [L, B] of recorded actions [L, B, actions], and the mean entropy, to learn from sequences.

        Observations are [L, B, recorded], the memory [B, remembered] is that before each sequence. Hybrid heads do not
        learn this way; see `learning.pathwise.score_gradient`.
        """
        if isinstance(self.network, GraphShapes):
            raise TypeError("graph attention learns from single observations")
        output = self.with_rule(self.network.sequence_outputs(flat, observation, memory), observation)
        return self.head.log_prob(output, self.log_std(flat), self.mask, action)

    def exploration(self, flat: Tensor, periods: int, copies: int, seed: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Its own exploration, drawn from its own stream.

        What is added to mean orders, and to the logits of choices, [T, noise, clones E]; and the log density of the
        former, [T, clones E].
        """
        log_std = self.log_std(flat)
        generator = torch_stream(flat.device, Stream.EXPLORATION, *seed, self.number)
        noise = self.head.noise(periods, self.clones * copies, generator, log_std.dtype)
        orders = noise[:, : self.head.orders]
        if self.head.hybrid:
            orders.zero_()  # quantities are learned by gradients
        log_prob = gaussian_log_density(orders.mT, log_std)
        orders *= log_std.exp()[:, None]
        return noise, log_prob

    def first_snapshot(self) -> Snapshot:
        """Version 0: if residual its rule, else orders of half the maximum and uniform recommendations."""
        parameters = self.learned.initial(math.log(self.policy.initial_std), self.seed)
        return Snapshot(self.name, 0, self.policy, parameters)

    def must_fit(self, snapshot: Snapshot) -> None:
        """Refuse a policy that is none for this department.

        Raises:
            ValueError: the snapshot's network has another shape or holds a number that is not finite.
        """
        if snapshot.parameters.shape != (self.learned.count,):
            raise ValueError(f"{self.name} needs {self.learned.count} parameters, got {snapshot.parameters.size}")
        if not np.isfinite(snapshot.parameters).all():
            raise ValueError(f"{self.name} was offered parameters that are not finite numbers")

    def is_rule(self, snapshot: Snapshot) -> bool:
        """Whether a residual policy's network is the constant 0, so that it is the base-stock rule itself."""
        if self.shapes is None or snapshot.config.form != "residual":
            return False
        flat = snapshot.parameters if self.over_points is None else self.own(torch.tensor(snapshot.parameters))
        layers = self.shapes.perceptron if isinstance(self.shapes, GraphShapes) else self.shapes
        *_, units, outputs = layers.widths
        return not flat[-outputs * (units + 2) : -outputs].any()  # its last layer, in front of log standard deviations


def _must_be_like_others(
    policy: PolicyConfig, name: str, points: tuple[int, ...], head: Head, closed_loop: bool
) -> None:
    """Refuse what one network for all stock points cannot decide."""
    refused = {
        "adds to the rule: policy.form must be residual": policy.form != "residual",
        "is for firms without customers": closed_loop,
        "is for departments of one stock point": len(points) != 1,
        "decides an order alone: no supplier_choice ordered or allocation learned, nor policy.hybrid true": head.outputs
        != 1,
    }
    if why := next((why for why, so in refused.items() if so), None):
        raise ValueError(f"policy.over_points: shared {why}; leave it out for {name}")


def rule_of(world: World, observer: Observer, name: str, policy: PolicyConfig) -> Snapshot:
    """The rule of a department that would look on as `policy` does: a residual policy that adds nothing."""
    rule = policy.model_copy(update={"form": "residual", "memory": "none"})
    return DepartmentSpec.of(world, observer, name, rule).first_snapshot()


def _shares(policy: PolicyConfig, products: int) -> bool:
    if policy.over_products == "auto":
        return products >= MANY_PRODUCTS and policy.graph is None
    if policy.over_products == "shared" and policy.graph is not None:
        raise ValueError("policy.graph attends over all products at once; leave policy.over_products out")
    return policy.over_products == "shared" and products > 1


def point_of(department: str, names: Sequence[str]) -> int:
    """Index of a department's stock point; N of one that has none or all; 0 of the one that does everything.

    Raises:
        ValueError: there is no such department.
    """
    if department in names:
        return names.index(department)
    if department not in (FIRM, JOINT, RECOMMENDATION):
        raise ValueError(f"{department!r} is no department of the firm; its stock points are {', '.join(names)}")
    return 0 if department == JOINT else len(names)


def _network(
    observer: Observer, policy: PolicyConfig, points: tuple[int, ...], inputs: int, head: Head, closed_loop: bool
) -> MemoryNetwork | GraphShapes:
    if policy.graph is not None:
        if policy.hybrid:
            raise ValueError("policy.graph and policy.hybrid do not go together; leave one of them out")
        if len(points) < observer.world.points or closed_loop:
            raise ValueError("policy.graph is for the one department of the whole firm; leave it out")
        return GraphShapes(Graph.of(observer, inputs, policy.graph), policy.graph, inputs, policy.hidden, head.outputs)
    kind = policy.memory if closed_loop else "none"
    size = policy.memory_size if kind != "none" else 0
    return MemoryNetwork(inputs, kind, size, policy.hidden, head.outputs, head.orders, policy.activation)
