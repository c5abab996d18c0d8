from dataclasses import replace

import numpy as np
import pytest
import torch

from coordinator.evaluation.evaluate import load_policy_or_rule, trained_policy
from coordinator.live.policy_bundles import PolicyBundles, departments_of
from coordinator.runs.folder import RunFolder
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.setup import setup_of
from departments.play.stepping import advance, before_the_first, feasible
from departments.policies.policy import PolicyConfig
from departments.serving.numpy_policy import NumpyPolicy
from environment import load_firm
from tests.small_firms import tree

PERIODS, COPIES = 12, 5
FIRM = load_firm("firm")


def both_ways(firm, text, policy=None):
    """Orders and exposures of every period: of the whole policy in torch, and of departments each alone."""
    bundles = PolicyBundles(firm)
    world, observer = bundles.world, bundles.observer
    whole = policy(world) if policy else load_policy_or_rule(text, world)
    deciders = {name: NumpyPolicy(bundles.policy(name, text)) for name in departments_of(firm)}
    memories = {name: decider.start(COPIES) for name, decider in deciders.items()}
    chance, state = world.draw(PERIODS, COPIES, world.generator(3)), world.reset(COPIES)
    feedback, memory = before_the_first(world, COPIES), None
    for t in range(PERIODS):
        seen = observer.units(state, feedback, t).double().numpy()
        decision = whole.decide(world, state, feedback, t, memory)
        order, exposure = feasible(world, decision, state, t)
        alone = {}
        for name, decider in deciders.items():
            alone[name], memories[name] = decider.decide(seen[decider.rows], memories[name], t)
        yield decision.order.numpy(), np.stack([alone[name] for name in firm.names])
        if exposure is not None:
            yield exposure.numpy(), alone["recommendation"]
        state, _, feedback = advance(world, state, order, exposure, chance.at(t))
        memory = decision.memory


@pytest.mark.parametrize(
    ("firm", "rule"),
    [
        ("a1", "decomposition-aggregation"),
        ("b1", "echelon-base-stock"),
        ("a1", "reorder"),
        ("firm", "none"),
        ("firm", "margin-greedy+forecast-base-stock:0.4"),
        ("firm", "inventory-aware:0.3+reorder"),
    ],
)
def test_departments_that_follow_a_rule_alone_decide_as_the_rule_does_for_all(firm, rule):
    for whole, alone in both_ways(load_firm(firm), rule):
        np.testing.assert_allclose(alone, whole, atol=1e-3)


def a_run(folder, firm, settings):
    """A run whose policies are random networks: nothing of a rule is left that could hide a difference."""
    run = RunFolder(folder)
    run.create(firm, settings)
    rng = np.random.default_rng(0)
    for snapshot in setup_of(firm, settings).base(settings).values():
        noisy = snapshot.parameters + 0.2 * rng.standard_normal(snapshot.parameters.shape).astype(np.float32)
        run.save_snapshot(replace(snapshot, parameters=noisy, version=3), {})
    return run


@pytest.mark.parametrize(
    ("firm", "scheme", "policy"),
    [
        ("a1", "imarl", PolicyConfig(hidden=(8, 8))),
        ("a1", "imarl", PolicyConfig(hidden=(8,), form="plain", activation="tanh", observation="own")),
        ("firm", "mtma", PolicyConfig(hidden=(8,), memory="gru", memory_size=6)),
        ("firm", "mtma", PolicyConfig(hidden=(8,), memory="stack", memory_size=3, form="plain")),
        ("firm", "siloed", PolicyConfig(hidden=(8,), memory="none")),
        ("firm", "mtma", PolicyConfig(hidden=(8,), parts=3)),
        ("firm", "mtma", PolicyConfig(hidden=(8,), parts=2, form="plain", clock=False)),
        ("firm", "mtma", PolicyConfig(hidden=(8,), memory="gru", memory_size=6, over_products="shared")),
        ("firm", "mtma", PolicyConfig(hidden=(8,), memory="stack", memory_size=3, over_products="shared")),
        (tree(products=("tea", "rice")), "imarl", PolicyConfig(hidden=(8,), over_products="shared")),
        ("firm", "pathwise", PolicyConfig(hidden=(8,))),
        ("a1", "pathwise", PolicyConfig(hidden=(8,), hybrid=True)),
        (tree(products=("tea", "rice")), "pathwise", PolicyConfig(hidden=(8,), hybrid=True)),
        (
            tree(products=("tea", "rice")),
            "pathwise",
            PolicyConfig(hidden=(8,), hybrid=True, form="plain", over_products="shared"),
        ),
    ],
)
def test_learned_departments_decide_in_numpy_what_they_learned_in_torch(firm, scheme, policy, tmp_path):
    firm = load_firm(firm) if isinstance(firm, str) else firm
    run = a_run(tmp_path / "run", firm, settings_of(scheme=scheme, policy=policy))
    with torch.inference_mode():
        for whole, alone in both_ways(firm, str(run.path), lambda world: trained_policy(run, world)):
            np.testing.assert_allclose(alone, whole, rtol=1e-4, atol=2e-3)
