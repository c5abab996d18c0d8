"""Networks that learn and act in C++ (`departments/core`): whole updates in one call, a tile of samples at a time.

They do what `departments.learning.ppo` and the critic do by hand or by autograd, minibatch by minibatch on the same
shuffles; sums are rounded in another order. A machine without a compiler, another device and other networks are left to
those.
"""

from __future__ import annotations

import ctypes
import dataclasses
import weakref
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from departments.numerics.adam import Adam
from departments.numerics.graph import AnyShapes, GraphShapes
from departments.numerics.heads import Head
from departments.numerics.memory import MemoryNetwork
from departments.numerics.networks import Activation
from environment.boundary import Declared
from environment.toolchain import NotCompiledError, compile_cached

_FLAGS = ("-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros")
_EPS = 1e-5  # of Adam, as in `Adam.step`
CORE = Path(__file__).parents[1] / "core"


class Valued(NamedTuple):
    """A rollout as a value function sees it."""

    samples: Tensor  # [T * E, inputs]
    target: Tensor  # [T * E, A] what they were worth
    advantage: Tensor  # [A, T, E]


class Meaning(NamedTuple):
    """What outputs mean, with what a rule adds to them."""

    head: Head
    mask: Tensor | None = None  # [S, K, 1] which products may be recommended
    scores: int | None = None  # where in an observation the rule's scores of offers begin, if they are added
    sharpness: float = 1.0  # times which they are

    @property
    def declared(self) -> ctypes.Structure:
        """For C++."""
        return _head(*self)


@lru_cache(maxsize=256)
def _head(head: Head, mask: Tensor | None, scores: int | None, sharpness: float) -> ctypes.Structure:
    sizes = {field.name: getattr(head, field.name) for field in dataclasses.fields(head)}
    mask = None if mask is None else mask.to(torch.float32).contiguous()
    return _declared("Head")(**sizes, mask=mask, scores=-1 if scores is None else scores, sharpness=sharpness)


class Learned(NamedTuple):
    """What a fit did: sums over its steps."""

    told: list[float]
    steps: int


@cache
def _library() -> ctypes.CDLL | str:
    """The compiled loops, or why there are none."""
    try:
        library = compile_cached(CORE / "core.cpp", _FLAGS)
    except NotCompiledError as reason:
        return str(reason)
    pointer, number, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
    library.values.argtypes = [number, *[pointer] * 4, number, pointer]
    library.improve_policy.argtypes = [*[pointer] * 5, real, real, real, pointer]
    library.fit_values.argtypes = [pointer, pointer, number, pointer, real, *[pointer] * 3]
    library.actors_new.restype = pointer
    library.actors_free.argtypes = [pointer]
    library.actors_add.argtypes = [pointer, pointer]
    library.actors_learn.argtypes = [pointer, number, pointer]
    library.actors_gradient.argtypes = [pointer, number, pointer]
    library.advantages.argtypes = [pointer]
    library.actor_new.argtypes, library.actor_new.restype = [pointer], pointer
    library.actor_free.argtypes, library.actor_decide.argtypes = [pointer], [pointer, pointer]
    changing = ("actors_add", "actors_learn", "actors_gradient", "actor_decide")
    for name in ("values", "advantages", "improve_policy", "fit_values", *changing):
        getattr(library, name).restype = None
    return library


class Actors:
    """Networks that act together in the compiled world, on copies side by side."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """Without any; see `actors`."""
        self._library = library
        self.place: int = library.actors_new()
        called = (
            library.actors_act,
            library.actors_back,
            library.actors_begin,
            library.actors_decide,
            library.actors_memory,
        )
        self.act, self.back, self.begin, self.decide, self.memory = (
            ctypes.cast(function, ctypes.c_void_p).value or 0 for function in called
        )
        self._counts: list[int] = []  # parameters of each
        weakref.finalize(self, library.actors_free, self.place)

    def add(
        self,
        network: MemoryNetwork | GraphShapes,
        meaning: Meaning,
        parameters: Tensor,
        rows: Sequence[int] | Tensor,
        learns: bool = False,
        traits: Tensor | None = None,
    ) -> None:
        """One more, which sees some rows of what there is to see and decides after those that were added before.

        With `traits` [T, clones], the last inputs, it has clones: rows are feature by feature one for each, and so is
        what they decide and remember.

        Gradients go back only where all have been added as ones that learn, and none of them remembers.
        """
        acting = ctypes.byref(_acting(network, meaning, parameters, torch.as_tensor(rows), traits))
        self._library.actors_add(self.place, acting)
        if learns:
            self._library.actors_learn(self.place, len(self._counts), acting)
        self._counts.append(network.count)

    def gradients(self) -> list[Tensor]:
        """Of each, flat, what has come back to it; 0 for log standard deviations."""
        found = [torch.zeros(count) for count in self._counts]
        for number, gradient in enumerate(found):
            self._library.actors_gradient(self.place, number, gradient.data_ptr())
        return found


class Move(NamedTuple):
    """What a network made of one period."""

    output: Tensor  # [outputs, E], with what its rule adds
    action: Tensor  # [actions, E]
    choice_log_prob: Tensor | None  # [E] of the choices among them, if there are any
    recorded: Tensor  # [recorded, E]
    memory: Tensor  # [remembered, E] afterwards


class Decider:
    """One network with its head in C++, on any number of copies."""

    def __init__(
        self, network: MemoryNetwork | GraphShapes, meaning: Meaning, parameters: Tensor, library: ctypes.CDLL
    ) -> None:
        """See `decider_of`."""
        self._network, self._head, self._library = network, meaning.head, library
        self._place: int = library.actor_new(ctypes.byref(_acting(network, meaning, parameters)))
        weakref.finalize(self, library.actor_free, self._place)

    def __call__(self, observation: Tensor, memory: Tensor, noise: Tensor | None) -> Move:
        """What it does on an observation [F, E], with the memory it has and with noise [noise, E] or without."""
        stacked, new = self._network.kind == "stack", observation.new_empty
        seen, copies = observation.contiguous(), observation.shape[1]
        move = Move(
            new(self._network.outputs, copies),
            new(self._head.actions, copies),
            new(copies),
            torch.cat((seen, memory)) if stacked else seen,
            new(self._network.remembered, copies),
        )
        given = {"seen": seen, "memory": memory.contiguous(), "noise": None if noise is None else noise.contiguous()}
        gives = {"output": move.output, "action": move.action, "log_prob": move.choice_log_prob, "after": move.memory}
        self._library.actor_decide(self._place, ctypes.byref(_declared("Turn")(copies=copies, **given, **gives)))
        return move if self._head.segments else move._replace(choice_log_prob=None)


def decider_of(
    network: MemoryNetwork | GraphShapes, meaning: Meaning, parameters: Tensor, activation: Activation
) -> Decider | None:
    """The network with its head in C++; None where that cannot be."""
    library = _library_for(parameters, activation)
    return None if library is None else Decider(network, meaning, parameters, library)


def _acting(
    network: MemoryNetwork | GraphShapes,
    meaning: Meaning,
    parameters: Tensor,
    rows: Tensor | None = None,
    traits: Tensor | None = None,
) -> ctypes.Structure:
    gated, stacked = network.kind == "gru", network.kind == "stack"
    return _declared("Acting")(
        **{"layers": len(network.widths), "widths": _numbers(*network.widths), "units": network.size * gated},
        **{"stacked": network.size if stacked else 1, "parameters": parameters.to(torch.float32).contiguous()},
        **{"graph": _graph(network), "rows": rows, "head": meaning.declared},
        **{"traits": None if traits is None else traits.contiguous()},
        **dict(zip(("given", "clones"), (0, 1) if traits is None else traits.shape, strict=True)),
    )


@lru_cache(maxsize=256)
def _numbers(*numbers: int) -> Tensor:
    return torch.tensor(numbers)


def _graph(network: AnyShapes | MemoryNetwork) -> ctypes.Structure | None:
    """What it attends over, if it does."""
    if not isinstance(network, GraphShapes):
        return None
    graph, config = network.graph, network.config
    rows, constant = torch.tensor(graph.rows), torch.tensor(graph.static)
    (nodes, features), constants = rows.shape, constant.shape[1]
    return _declared("Graph")(
        **{"nodes": nodes, "features": features, "constants": constants, "rows": rows, "constant": constant},
        **{"attends": torch.tensor(graph.neighbours).long(), "layers": len(config.layers), "heads": config.heads},
        **{"seen": graph.seen, "units": torch.tensor(config.layers)},
    )


def actors() -> Actors:
    """Nobody yet.

    Raises:
        NotCompiledError: there is no compiler.
    """
    library = _library()
    if isinstance(library, str):
        raise NotCompiledError(library)
    return Actors(library)


class Loops:
    """The loops of one network on its flat vector of parameters, which they change in place."""

    def __init__(self, network: AnyShapes | MemoryNetwork, parameters: Tensor, library: ctypes.CDLL) -> None:
        """See `loops_of`."""
        self._parameters, self._library = parameters, library
        self._outputs = network.outputs
        self._widths = torch.tensor(network.widths)
        self._units = network.size if isinstance(network, MemoryNetwork) and network.kind == "gru" else 0
        self._network = {"layers": len(self._widths), "widths": self._widths, "parameters": parameters}
        self._network["graph"] = self._graph = _graph(network)

    def values(self, observation: Tensor) -> Tensor:
        """Outputs [B, outputs] of observations [B, inputs]."""
        seen = observation.contiguous()
        out = seen.new_empty(len(seen), self._outputs)
        graph = None if self._graph is None else ctypes.byref(self._graph)
        places = (x.data_ptr() for x in (self._parameters, seen))
        self._library.values(len(self._widths), self._widths.data_ptr(), graph, *places, len(seen), out.data_ptr())
        return out

    def advantages(
        self,
        features: Tensor,
        reward: Tensor,
        streams: list[int],
        units: tuple[Tensor, Tensor],
        horizon: tuple[float, float],
        terminated: bool,
    ) -> Valued:
        """See `returns.generalised_advantage`, of a rollout by the values that the network gives.

        Args:
            features: [T + 1, inputs, E].
            reward: [T, A, E] of the outputs `streams`.
            streams: A outputs.
            units: mean and standard deviation of every output, in which it is given.
            horizon: gamma and lambda.
            terminated: whether nothing follows the last period.
        """
        periods, _, copies = reward.shape
        (mean, scale), new = units, reward.new_empty
        found = Valued(
            new(periods * copies, features.shape[1]),
            new(periods * copies, len(streams)),
            new(len(streams), periods, copies),
        )
        asked = _declared("Valued")(
            **self._network,
            **{"mean": mean.contiguous(), "scale": scale.contiguous(), "features": features.contiguous()},
            **{"reward": reward.contiguous(), "stream": torch.tensor(streams), "streams": len(streams)},
            **{"periods": periods, "copies": copies, "terminated": terminated},
            **{"gamma": horizon[0], "lambda": horizon[1], **found._asdict()},
        )
        self._library.advantages(ctypes.byref(asked))
        return found

    def improve_policy(
        self,
        optimiser: Adam,
        head: Meaning,
        observation: Tensor,
        memory: Tensor,
        order: Tensor,
        parts: int,
        data: Sequence[Tensor],
        rates: tuple[float, float],
        bounds: tuple[float, float, float],
    ) -> Learned:
        """See `ppo.improve`.

        Args:
            optimiser: its Adam state, changed in place.
            head: what outputs mean.
            observation: [B, L, recorded] of B sequences of L periods; L is 1 unless the memory is gated.
            memory: [B, remembered] of a gated memory, before each sequence.
            order: [epochs, B] shuffled indices.
            parts: minibatches of an epoch.
            data: actions [B, L, actions], log probabilities [B, L] under the policy that acted, normalised advantages
                [B, L].
            rates: learning rate and largest norm of a gradient.
            bounds: clip ratio, entropy coefficient, largest KL divergence.

        Returns:
            KL divergence and entropy of the last step, sums of clipped shares and norms: [KL, clipped, entropy, norm].
        """
        held = [part.contiguous() for part in (observation, order, *data)]
        told = torch.zeros(5, dtype=torch.float64)
        fit = self._fit(optimiser, held[0], held[1], parts, rates, memory.contiguous())
        places = (part.data_ptr() for part in held[2:])
        self._library.improve_policy(ctypes.byref(fit), ctypes.byref(head.declared), *places, *bounds, told.data_ptr())
        *sums, steps = told.tolist()
        return Learned(sums, int(steps))

    def fit_values(
        self,
        optimiser: Adam,
        observation: Tensor,
        order: Tensor,
        parts: int,
        target: Tensor,
        streams: list[int],
        coefficient: float,
        rates: tuple[float, float],
        limits: tuple[Tensor, Tensor] | None = None,
    ) -> Learned:
        """Fit the outputs `streams` to targets [B, A] in squared error times `coefficient`; else as `improve_policy`.

        With `limits`, outputs [B, A] and how far from them [A] they may move, the error is `critic.clipped_error`.

        Returns:
            The sum of losses and the first of them.
        """
        held = [part.contiguous() for part in (observation, order, target, torch.tensor(streams), *(limits or ()))]
        places = [part.data_ptr() for part in held[2:]] + [None] * (0 if limits else 2)
        told = torch.zeros(3, dtype=torch.float64)
        fit = self._fit(optimiser, held[0].unsqueeze(1), held[1], parts, rates)
        self._library.fit_values(
            ctypes.byref(fit), places[0], len(streams), places[1], coefficient, *places[2:], told.data_ptr()
        )
        *sums, steps = told.tolist()
        return Learned(sums, int(steps))

    def _fit(
        self,
        optimiser: Adam,
        observation: Tensor,
        order: Tensor,
        parts: int,
        rates: tuple[float, float],
        memory: Tensor | None = None,
    ) -> ctypes.Structure:
        epochs, sequences = order.shape
        return _declared("Fit")(
            **self._network,
            **{"units": self._units, "memory": memory, "observation": observation, "order": order},
            **{"parameters_count": len(self._parameters), "first": optimiser.first, "second": optimiser.second},
            **{"steps": optimiser.steps, "sequences": sequences, "periods": observation.shape[1]},
            **{"parts": parts, "epochs": epochs, "learning_rate": rates[0], "max_grad_norm": rates[1], "eps": _EPS},
        )


@cache
def _declared(name: str) -> Declared:
    return Declared((CORE / "call.hpp").read_text(), name)


def why_not() -> str | None:
    """Why nothing can be compiled on this machine, one line; None: it can, and has been."""
    library = _library()
    return library if isinstance(library, str) else None


def loops_of(network: AnyShapes | MemoryNetwork, parameters: Tensor, activation: Activation) -> Loops | None:
    """The compiled loops of a network on `parameters`, in place; None where there are none."""
    library = _library_for(parameters, activation)
    return None if library is None else Loops(network, parameters, library)


def _library_for(parameters: Tensor, activation: Activation) -> ctypes.CDLL | None:
    if activation != "relu":
        return None
    if parameters.device.type != "cpu" or parameters.dtype != torch.float32:
        return None
    library = _library()
    return None if isinstance(library, str) else library
