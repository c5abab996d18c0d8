"""Graph attention over the supply network, as encoder of a policy or of the critic, on flat parameter vectors.

Source: Velickovic et al. (2018), Graph attention networks, eq. 1-5; [I] puts it into SARL-GNN and MARL-GNN, there for
the critic alone, with directed edges and the position as the only feature, which `GraphConfig` can say. Ours: edges in
both directions and to oneself; a node's features are its own rows and three numbers that do not change; after the last
layer the nodes lie side by side, with the features themselves, before a multilayer perceptron.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Annotated, ClassVar, Literal, NamedTuple, Self, TypeAlias

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from departments.numerics.layout import ArrayShapes, views
from departments.numerics.memory import MemoryKind
from departments.numerics.networks import Activation, Layers, Parameters, Shapes, forward, initial_parameters
from environment.fields import Checked
from environment.observation import Observer
from environment.streams import Stream, numpy_stream

_SLOPE = 0.2  # of LeakyReLU in the scores


class GraphConfig(Checked):
    """Settings of graph attention."""

    layers: tuple[Annotated[int, Field(ge=1)], ...] = (16, 16, 16)  # units per node after each layer, heads together
    heads: int = Field(default=1, ge=1)
    directed: bool = False  # to suppliers alone, as goods flow ([I]); else to customers too
    features: Literal["all", "position"] = "all"  # of what is seen: all of it, or positions alone ([I])

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if not self.layers:
            raise ValueError("layers must name at least one layer, got none")
        if wrong := [units for units in self.layers if units % self.heads]:
            raise ValueError(f"layers must be multiples of heads ({self.heads}), got {wrong[0]}")
        return self


@dataclass(frozen=True)
class Graph:
    """A supply network for graph attention: plain and hashable, so that it travels and is laid out once."""

    rows: tuple[tuple[int, ...], ...]  # [N][F] feature rows of each node; -1 where it has fewer
    static: tuple[tuple[float, ...], ...]  # [N][S] what does not change about a node, 0..1
    neighbours: tuple[tuple[bool, ...], ...]  # [N][N] whom each node attends to, itself included
    seen: int  # leading feature rows that are looked at

    @classmethod
    def of(cls, observer: Observer, width: int, config: GraphConfig) -> Graph:
        """The network of an observer's world; `width` leading feature rows are seen: all, or the positions alone."""
        alone = config.features == "position"
        width = min(width, observer.positions) if alone else width
        network, firm = observer.world.network, observer.world.firm
        count = len(network.names)
        meets = np.eye(count, dtype=bool)
        for source, target in zip(network.edge_source, network.edge_target, strict=True):
            if source >= 0:
                meets[target, source] = True
                meets[source, target] |= not config.directed
        rows = [[row for row in observer.node_rows(point) if row < width] for point in range(count)]
        longest = max(map(len, rows))
        holding, echelons = firm.amounts("holding_cost").mean(1), np.array(network.echelons(), dtype=float)
        facing = np.isin(np.arange(count), network.customer_facing)
        static = np.stack((holding / max(holding.max(), 1e-9), echelons / echelons.max(), facing), 1)[:, 3 * alone :]
        return cls(
            rows=tuple((*own, *[-1] * (longest - len(own))) for own in rows),
            static=tuple(map(tuple, static.tolist())),
            neighbours=tuple(map(tuple, meets.tolist())),
            seen=width,
        )


class _Layout(NamedTuple):
    """A graph as tensors."""

    rows: Tensor  # [N * F], with the number of rows for those that are missing
    static: Tensor  # [N, S]
    closed: Tensor  # [N, N] -inf where a node does not attend, else 0


@functools.lru_cache(maxsize=64)
def _layout(graph: Graph, inputs: int, device: torch.device, dtype: torch.dtype) -> _Layout:
    with torch.inference_mode(False):  # it outlives the rollout that asks for it first
        rows = torch.tensor(graph.rows, device=device).view(-1)
        attends = torch.tensor(graph.neighbours, device=device)
        closed = torch.zeros(attends.shape, device=device, dtype=dtype).masked_fill(~attends, -torch.inf)
        return _Layout(
            torch.where(rows < 0, inputs, rows), torch.tensor(graph.static, device=device, dtype=dtype), closed
        )


def graph_attention(
    hidden: Tensor, weight: Tensor, target: Tensor, source: Tensor, bias: Tensor, closed: Tensor
) -> Tensor:
    """One layer before its activation, all heads side by side, [B, N, inputs] -> [B, N, units].

    Args:
        hidden: features of the nodes.
        weight: [units, inputs].
        target: [heads, units / heads], scores a node as the one that attends.
        source: [heads, units / heads], scores it as the one that is attended to.
        bias: [units].
        closed: [N, N] added to the scores: 0, or -inf where a node (row) does not attend to another (column).
    """
    samples, nodes, _ = hidden.shape
    heads, size = target.shape
    # Scores are linear in the features, so both come out of the same product as the messages.
    parts = weight.view(heads, size, -1)
    scoring = torch.cat(((target.unsqueeze(1) @ parts).squeeze(1), (source.unsqueeze(1) @ parts).squeeze(1)))
    mixed = hidden @ torch.cat((weight, scoring)).T
    message, of_target, of_source = torch.split(mixed, [heads * size, heads, heads], -1)
    score = of_target.transpose(1, 2).unsqueeze(-1) + of_source.transpose(1, 2).unsqueeze(-2)  # [B, heads, N, N]
    share = torch.softmax(torch.nn.functional.leaky_relu(score, _SLOPE) + closed, -1)
    if heads == 1:
        return torch.baddbmm(bias, share[:, 0], message)
    mixed = share @ message.view(samples, nodes, heads, size).transpose(1, 2)  # [B, heads, N, size]
    return mixed.transpose(1, 2).reshape(samples, nodes, heads * size) + bias


@dataclass(frozen=True)
class GraphShapes:
    """Graph attention, then a multilayer perceptron, as they lie in a flat vector: see `Shapes`, its tail is one.

    It also has the face of a `MemoryNetwork` that remembers nothing.
    """

    graph: Graph
    config: GraphConfig
    inputs: int  # feature rows that are seen
    hidden: tuple[int, ...]
    outputs: int
    kind: ClassVar[MemoryKind] = "none"
    size: ClassVar[int] = 0
    remembered: ClassVar[int] = 0

    @property
    def recorded(self) -> int:
        """Length of what is recorded of an observation for learning."""
        return self.inputs

    @property
    def widths(self) -> list[int]:
        """Feature rows that are seen, hidden units, outputs."""
        return [self.inputs, *self.hidden, self.outputs]

    @property
    def perceptron(self) -> Shapes:
        """What follows the attention: sees every node's units and the features."""
        return Shapes(len(self.graph.rows) * self.config.layers[-1] + self.graph.seen, self.hidden, self.outputs)

    @property
    def _attention(self) -> ArrayShapes:
        """Of each layer in turn: weight, then what scores a node as target and as source, then bias."""
        heads, shapes = self.config.heads, ArrayShapes()
        for inputs, units in pairwise([len(self.graph.rows[0]) + len(self.graph.static[0]), *self.config.layers]):
            shapes += [(units, inputs), (heads, units // heads), (heads, units // heads), (units,)]
        return shapes

    @property
    def count(self) -> int:
        """Length of the flat vector, log standard deviations included."""
        return sum(map(prod, self._attention)) + self.perceptron.count

    def split(self, flat: Tensor) -> tuple[Layers, Tensor]:
        """Views on a flat vector: attention's weights, pair by pair, the perceptron's layers, log std [outputs]."""
        parts, layers = iter(views(flat, self._attention)), Layers()
        for weight, target, source, bias in zip(parts, parts, parts, parts, strict=True):
            layers += [(weight, bias), (target, source)]
        perceptron, log_std = self.perceptron.split(flat[-self.perceptron.count :])
        return layers + perceptron, log_std

    def initial(self, log_std: float, seed: int) -> Parameters:
        """Glorot-initialised attention (as Velickovic et al.); the perceptron starts as the constant 0."""
        rng = numpy_stream(Stream.ATTENTION, seed)
        parts = []
        for (units, inputs), (_, own) in zip(self._attention[::4], self._attention[1::4], strict=True):
            parts.append(rng.uniform(-1.0, 1.0, units * inputs) * np.sqrt(6.0 / (units + inputs)))
            parts.append(rng.uniform(-1.0, 1.0, 2 * units) * np.sqrt(6.0 / (own + 1)))
            parts.append(np.zeros(units))
        return np.concatenate([*parts, initial_parameters(self.perceptron, log_std, seed)]).astype(np.float32)

    def forward(self, layers: Layers, inputs: Tensor, activation: Activation) -> Tensor:
        """Outputs of samples, [B, inputs] -> [B, outputs]."""
        layout = _layout(self.graph, self.inputs, inputs.device, inputs.dtype)
        act = torch.relu if activation == "relu" else torch.tanh
        samples, nodes = len(inputs), len(self.graph.rows)
        own = torch.nn.functional.pad(inputs, (0, 1)).index_select(1, layout.rows).view(samples, nodes, -1)
        hidden = torch.cat((own, layout.static.expand(samples, -1, -1)), -1)
        depth = 2 * len(self.config.layers)
        for (weight, bias), (target, source) in zip(layers[:depth:2], layers[1:depth:2], strict=True):
            hidden = act(graph_attention(hidden, weight, target, source, bias, layout.closed))
        return forward(layers[depth:], torch.cat((hidden.flatten(1), inputs[:, : self.graph.seen]), 1), activation)


AnyShapes: TypeAlias = Shapes | GraphShapes


class ActingGraph:
    """One department's network in a rollout, with the face of `memory.ActingNetwork`; it remembers nothing."""

    def __init__(self, shapes: GraphShapes, flat: Tensor, activation: Activation) -> None:
        """Take views of the parameters."""
        self._shapes, self._layers, self._activation = shapes, shapes.split(flat)[0], activation

    def start(self, copies: int) -> Tensor:
        """An empty memory, [0, E]."""
        return self._layers[0][0].new_zeros(0, copies)

    def __call__(self, observation: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs [outputs, E] of an observation [F, E], the observation, and the memory."""
        return self._shapes.forward(self._layers, observation.T, self._activation).T, observation, memory
