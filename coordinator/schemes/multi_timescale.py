"""Firms with customers [M]: replenishment and recommendation learn at once, on timescales of their own or on one.

`mtma` two timescales, many agents; `stma-*` one timescale, many agents; `stsa-*` one timescale, a single agent for the
whole firm; `siloed` departments that see and are paid by their own indicators.

Source: Jiang et al., arXiv 2510.04272.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal, Self

from pydantic import Field

from coordinator.critic.value_function import CriticConfig
from coordinator.learning.iterations import Training
from coordinator.learning.settings import Settings
from coordinator.schemes.base import SchemeSpec
from coordinator.schemes.simultaneous import Simultaneous
from departments.learning.ppo import PPOConfig
from departments.learning.timescale import FAST, SLOW, StepLaw
from departments.policies.policy import JOINT, RECOMMENDATION, PolicyConfig
from environment import Firm, Network

_UNUSED = {
    "policy.observation": "each role has an observation set of its own",
    "policy.graph": "departments remember instead",
    "policy.hybrid": "pathwise alone learns whether to order",
    "policy.over_points": "pathwise alone learns one network for all points, without customers",
    "ppo.learning_rate": "step laws give the rates (fast_law, slow_law, departments.NAME.law)",
    "critic.graph": "attention is of firms without customers",
    "base_policy": "policies start from the rules",
    "tuning_seconds": "policies start from the rules",
    "reward_unit": "rewards are counted in profit",
}
_EARLIER = {f"loop.{name}": name for name in ("policy", "ppo", "critic", "fast", "fast_law", "slow_law")}


class ClosedLoopRun(Settings):
    """Settings of a run with customers: timescales, departments that see the clock, and a critic with a short view.

    Profit is counted on accrual (`departments.play.payment.Profit`), so that most of what a decision is worth shows
    within few periods; what comes later is mostly other people's chance (gamma). Networks begin at the rules without
    being tied to them (form, start): a residual policy hardly ever tries what its rule makes invisible. See
    docs/closed-loop.md.
    """

    policy: PolicyConfig = PolicyConfig(form="plain", initial_std=0.6, clock=True, over_products="auto")
    start: Literal["rules", "nothing"] = "rules"  # plain policies are first fitted to the rules, or know nothing
    ppo: PPOConfig = PPOConfig(minibatch=2048)
    critic: CriticConfig = CriticConfig(gamma=0.9, gae_lambda=0.9, minibatch=2048)
    fast: Literal["recommendation", "replenishment"] = "recommendation"  # who learns on the fast law
    fast_law: StepLaw = FAST
    slow_law: StepLaw = SLOW
    copies: int = Field(default=256, ge=1)
    select_every: int = Field(default=5, ge=1)
    iterations: int = Field(default=400, ge=1)


class FromTheRules(Simultaneous):
    """All learn at once; plain policies, and the critic, are first made acquainted with the rules."""

    @classmethod
    def begin(cls, network: Network, training: Training) -> Self:
        """All start from what is published, or from what they make of the rules."""
        settings = training.settings
        if isinstance(settings, ClosedLoopRun) and settings.start == "rules":
            fit_to_the_rules(training)
            training.acquaint((settings.seed, 1))
        return super().begin(network, training)


def fit_to_the_rules(training: Training) -> None:
    """Let plain policies of a firm with customers begin about where the rules are."""
    plain = [name for name, snapshot in training.published.items() if snapshot.config.form == "plain"]
    training.imitate(plain, (training.settings.seed, 1))


def observing(recommendation: Literal["recommendation", "customers"], firm: Firm, settings: Settings) -> _Policies:
    """A replenishment department for each stock point, and one that recommends."""
    seen = dict.fromkeys(firm.names, "replenishment") | {RECOMMENDATION: recommendation}
    return {name: settings.policy_of(name).model_copy(update={"observation": what}) for name, what in seen.items()}


def _everyone(_: Firm, settings: Settings) -> _Policies:
    """One department for all."""
    return {JOINT: settings.policy_of(JOINT).model_copy(update={"observation": "everything"})}


def _own_or(usual: Callable[[ClosedLoopRun, str], StepLaw], settings: ClosedLoopRun, department: str) -> StepLaw:
    own = settings.departments.get(department)
    return own.law if own and own.law else usual(settings, department)


def _by_role(settings: ClosedLoopRun, department: str) -> StepLaw:
    is_fast = (department == RECOMMENDATION) == (settings.fast == "recommendation")
    return settings.fast_law if is_fast else settings.slow_law


_Policies = dict[str, PolicyConfig]
_ONE = {"fast": "all learn on one law"}
_ALL_FAST, _ALL_SLOW = _ONE | {"slow_law": "all learn on fast_law"}, _ONE | {"fast_law": "all learn on slow_law"}
_FAST_LAW = partial(_own_or, lambda settings, _: settings.fast_law)
_SLOW_LAW = partial(_own_or, lambda settings, _: settings.slow_law)

_MTMA = SchemeSpec(
    name="mtma",
    summary="two timescales",
    runner=FromTheRules,
    settings=ClosedLoopRun,
    unused=_UNUSED,
    earlier=_EARLIER,
    needs_customers=True,
    departments=partial(observing, "recommendation"),
    by_message=False,
    law=partial(_own_or, _by_role),
    reference=True,
)
_STMA = replace(
    _MTMA, name="stma-fast", summary="one, fast", unused=_UNUSED | _ALL_FAST, law=_FAST_LAW, reference=False
)
_STSA = replace(_STMA, name="stsa-fast", summary="one agent, fast", departments=_everyone, joint=True)
MULTI_TIMESCALE_SCHEMES = (
    _MTMA,
    _STMA,
    replace(_STMA, name="stma-slow", summary="one, slow", unused=_UNUSED | _ALL_SLOW, law=_SLOW_LAW),
    _STSA,
    replace(_STSA, name="stsa-slow", summary="one agent, slow", unused=_UNUSED | _ALL_SLOW, law=_SLOW_LAW),
    replace(
        _MTMA,
        name="siloed",
        summary="each for itself",
        departments=partial(observing, "customers"),
        own_indicators=True,
        reference=False,
    ),
)
