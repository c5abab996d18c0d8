import numpy as np
import pytest

from coordinator.live.book import Command
from coordinator.live.examiner import Examiner
from coordinator.live.policy_bundles import PolicyBundles
from coordinator.live.shadow import COPIES, Canary, Play, many
from departments.serving.numpy_policy import NumpyPolicy
from environment import load_firm
from tests.coordinator.live.test_operation import begun


def appraiser(folder, operation):
    return Examiner(operation.structures[-1], 5)


def shadow_of(operation):
    kept = operation.record["shadow"]
    return Play(kept["tick"], operation.shadow["arrays"], operation.shadow["memories"], np.array(kept["cost"]))


@pytest.mark.parametrize("firm", ["firm", "a3"])
def test_a_firm_that_follows_the_benchmark_costs_what_the_benchmark_costs_in_shadow(firm, tmp_path):
    operation = begun(tmp_path / "f", firm)
    play = shadow_of(operation)
    critic = appraiser(tmp_path, operation)
    for upto in (3, 4, 9):
        play, _ = critic.follow(play, [], upto)
    for _ in range(10):
        operation.tick()
    np.testing.assert_allclose(play.cost, operation.totals["cost"], rtol=1e-6)


def test_a_canary_is_compared_on_the_chance_that_the_firm_itself_meets(tmp_path):
    operation = begun(tmp_path / "f", "a1")
    operation.tick()
    now, critic = operation.now, appraiser(tmp_path, operation)
    bundle = PolicyBundles(load_firm("a1")).policy("retailer-2", "base-stock:retailer-2=20")
    start = Play(now.tick, many(now.moment.arrays), many(now.memories), np.zeros((4, COPIES)))
    candidate = start._replace(memories=start.memories | {"retailer-2": NumpyPolicy(bundle).start(COPIES)})
    command = Command("c", "me", "swap", "retailer-2", {}, "")
    canary = Canary(command, bundle, now.bundles, now.tick, 7, start, candidate)
    _, (canary,) = critic.follow(shadow_of(operation), [canary], 4)
    _, (canary,) = critic.follow(shadow_of(operation), [canary], 30)
    assert canary.tried.tick == canary.office.tick == 7
    before = np.array(operation.totals["cost"])
    for _ in range(7):
        operation.tick()
    first = now.moment.account["cost"][:, 0]
    np.testing.assert_allclose(canary.office.cost[:, 0], operation.totals["cost"] - before - first, rtol=1e-6)
    assert (canary.tried.cost[2] != canary.office.cost[2]).all()
    assert len(set(canary.office.cost[2])) > COPIES // 2, "the other pairs meet other chance"


def test_a_policy_much_worse_than_the_benchmark_is_refused_and_a_like_one_let_in(tmp_path):
    operation = begun(tmp_path / "f", "a1")
    now, critic = operation.now, appraiser(tmp_path, operation)
    given = (now.tick, now.moment.arrays, now.memories, now.bundles, 0.2)
    with pytest.raises(ValueError, match=r"the benchmark in its place .* more than 20% worse"):
        critic.examine("retailer-2", "base-stock:retailer-2=0", *given)
    bundle, figures = critic.examine("retailer-2", "base-stock:retailer-2=33", *given)
    assert bundle.label == "base-stock:retailer-2=33"
    assert figures["cost"] == pytest.approx(figures["benchmark_cost"], rel=0.1)
