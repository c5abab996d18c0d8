"""What the rules decide where plain departments look: lessons for a start at the rules that is not tied to them.

A residual policy adds to its rule for ever; what the rule makes invisible, such as wishes far below nothing, it must
first learn to undo. A plain one that was fitted to the rule's decisions begins where the rule is, and is free (ours).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from departments.decisions import OrdersAlone
from departments.numerics.actions import SHARPNESS
from departments.play.compiled_rollouts import CompiledRollouts
from departments.play.rollout import rollout
from departments.play.stepping import play
from departments.policies.policy import Snapshot
from departments.policies.spec import DepartmentSpec, rule_of
from departments.rules.dual_sourcing import TwoSuppliers
from environment import State, World
from environment.observation import Observer
from environment.streams import Stream, torch_stream

_LOGIT = 8.0  # beyond which a recommendation is as good as certain

Lesson = tuple[Tensor, Tensor]  # [T, F, E] what a department saw, [T, outputs, E] what its network should have said


@torch.inference_mode()
def demonstrations(
    world: World,
    observer: Observer,
    snapshots: Sequence[Snapshot],
    learning: Sequence[str],
    *,
    copies: int,
    seed: Sequence[int],
    compiled: CompiledRollouts | None = None,
    eager: bool = False,
) -> list[Lesson]:
    """Episodes in which all departments follow their rules, and explore: by department of `learning`, all plain.

    Arguments are those of `rollout`.
    """
    specs = {s.department: DepartmentSpec.of(world, observer, s.department, s.config) for s in snapshots}
    teachers = [rule_of(world, observer, name, spec.policy) for name, spec in specs.items()]
    stage = world, observer, teachers, list(specs)
    played = rollout(*stage, copies=copies, seed=seed, compiled=compiled, eager=eager)
    seen = dict(zip(specs, (part.observation for part in played.slices), strict=True))
    return [_lesson(world, observer, specs[name], seen[name]) for name in learning]


@torch.inference_mode()
def of_two_suppliers(
    world: World, observer: Observer, spec: DepartmentSpec, rule: TwoSuppliers, *, copies: int, seed: Sequence[int]
) -> Lesson:
    """Episodes in which one point follows a rule of dual sourcing, and strays from it by a few units (ours).

    What it should have said are the rule's wishes, which below 0 tell how far an order is, so that they are straight
    lines where the rule's orders have a kink.

    Args:
        world: of the firm.
        observer: of that world.
        spec: of the department, whose policy is plain.
        rule: that it shall follow.
        copies: episodes.
        seed: names the random streams.
    """
    generator = torch_stream(world.device, Stream.TRAINING, *seed)
    chance, straying = world.draw(world.firm.periods.train, copies, generator), _Straying(rule, generator)
    seen, said = [], []
    for step in play(world, straying, chance):
        seen.append(spec.columns(observer.all_features(step.before, None, step.period)[list(spec.rows)]))
        said.append((rule.wish(step.before) / (world.max_order[0] / 2.0) - 1.0).reshape(spec.head.orders, -1))
    told = torch.stack(said)
    return torch.stack(seen), torch.cat((told, torch.ones_like(told)), 1) if spec.head.hybrid else told


class _Straying(OrdersAlone):
    """A rule, and normal noise of a mean demand."""

    def __init__(self, rule: TwoSuppliers, generator: torch.Generator) -> None:
        self._rule, self._generator = rule, generator

    def order(self, world: World, state: State) -> Tensor:
        order = self._rule.order(world, state)
        spread = order.new_tensor(world.network.mean_flow()).unsqueeze(-1)
        return order + spread * order.new_empty(order.shape).normal_(generator=self._generator)


def _lesson(world: World, observer: Observer, spec: DepartmentSpec, seen: Tensor) -> Lesson:
    """Of observations [T, F, E], with hints before the traits, of the residual policy of the same department."""
    own, traits = len(spec.rows) // spec.clones, 0 if spec.traits is None else len(spec.traits)
    before, hints, behind = torch.split(seen, [own, seen.shape[1] - own - traits, traits], 1)
    rows = [point * world.products + k for point in spec.points for k in range(world.products)]
    wished, scores = hints.tensor_split([len(rows) // spec.clones], 1)
    most = world.max_order.reshape(-1, 1)[rows]
    wish = (
        (wished.reshape(len(seen), len(rows), seen.shape[-1] // spec.clones) * observer.spread[rows])
        .clamp_min(0.0)
        .minimum(most)
    )
    orders, logits = (wish / (most / 2.0) - 1.0).view_as(wished), (scores * SHARPNESS).clamp(-_LOGIT, _LOGIT)
    return torch.cat((before, behind), 1), torch.cat((orders, logits), 1)
