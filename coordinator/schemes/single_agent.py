"""Schemes of one agent that sees all positions, decides all orders and pays all costs ([I], `sarl` and `sarl-gnn`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import Field

from coordinator.learning.settings import Settings
from coordinator.schemes.base import SchemeSpec
from coordinator.schemes.imarl import EARLIER, NO_CUSTOMERS
from coordinator.schemes.simultaneous import Simultaneous
from departments.learning.ppo import PPOConfig
from departments.numerics.graph import GraphConfig
from departments.policies.policy import FIRM, PolicyConfig
from environment import Firm
from environment.fields import Checked

_UNUSED = NO_CUSTOMERS | {
    "ppo.learning_rate": "single.learning_rate",
}


class SingleSettings(Checked):
    """The one agent; the rest is as in `policy`."""

    hidden: tuple[int, ...] = (256, 256)  # sarl: units per layer
    learning_rate: float = Field(default=3e-4, gt=0)  # in place of the one of `ppo`: all actions share one ratio
    graph: GraphConfig | None = GraphConfig()  # sarl-gnn: before `policy.hidden`; None: the critic alone attends ([I])


class SingleRun(Settings):
    """Settings of a run with one agent."""

    single: SingleSettings = SingleSettings()

    def ppo_of(self, department: str) -> PPOConfig:
        """The learner's settings at the agent's own rate."""
        return super().ppo_of(department).model_copy(update={"learning_rate": self.single.learning_rate})


def _whole_firm(firm: Firm, settings: SingleRun, **network: Any) -> dict[str, PolicyConfig]:  # noqa: ANN401
    """The one department; what the whole firm owns, or has downstream, is everything."""
    if FIRM in firm.names:
        raise ValueError(f"stock_points: {FIRM!r} is the one department of {settings.scheme}; rename the stock point")
    policy = settings.policy_of(FIRM)
    seen = "pipeline" if policy.observation == "pipeline" else "everything"
    return {FIRM: policy.model_copy(update={"observation": seen, **network})}


def _paper_episodes(firm: Firm) -> int:
    """From 25,000 in the smallest scenario to 300,000 in the largest [I]; in proportion to the stock points is ours."""
    return round(25_000 + 275_000 * min(max((len(firm.names) - 4) / (18 - 4), 0.0), 1.0))


_SARL = SchemeSpec(
    name="sarl",
    summary="one agent for the whole firm",
    runner=Simultaneous,
    settings=SingleRun,
    unused=_UNUSED
    | {"policy.hidden": "single.hidden", "single.graph": "graph attention is another scheme's, with -gnn"},
    earlier=EARLIER,
    options={"observation": "policy.observation"},
    departments=lambda firm, settings: _whole_firm(firm, settings, hidden=settings.single.hidden),
    joint=True,
    meets_targets=True,
    paper_episodes=_paper_episodes,
)
SINGLE_AGENT_SCHEMES = (
    _SARL,
    replace(
        _SARL,
        name="sarl-gnn",
        summary="and it attends over the network",
        unused=_UNUSED | {"single.hidden": "policy.hidden"},
        departments=lambda firm, settings: _whole_firm(firm, settings, graph=settings.single.graph),
        attention=True,
    ),
)
