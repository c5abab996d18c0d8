import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Categorical, Normal

from departments.numerics.heads import Head, gaussian_log_density, ranked_log_prob
from environment.sampling import seeded_generator


def drawn(head, copies, seed=0, mask=None, output=None):
    """Outputs, log stds, actions and log probabilities of one period with exploration."""
    generator = seeded_generator("cpu", seed)
    if output is None:
        output = torch.randn(head.outputs, 1, generator=generator).expand(-1, copies).contiguous()
    log_std = torch.linspace(-1.0, 0.5, head.orders) if head.orders else torch.zeros(0)
    noise = head.noise(1, copies, generator)[0]
    log_prob = gaussian_log_density(noise[: head.orders].T, log_std)
    noise[: head.orders] *= log_std.exp()[:, None]
    action, choice = head.act(output, mask, noise)
    log_prob = log_prob if choice is None else log_prob + choice
    return output, log_std, action, log_prob


def by_hand(logits, chosen):
    """Probability of an ordered choice: one soft-max after the other, among the places left."""
    weight, probability, left = np.exp(np.array(logits, dtype=float)), 1.0, list(range(len(logits)))
    for place in chosen:
        probability *= weight[place] / weight[left].sum()
        left.remove(place)
    return probability


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_ranked_probabilities_are_those_of_drawing_one_after_the_other_and_sum_to_one(slots):
    logits = [0.3, -1.2, 2.0, 0.1]
    choices = list(itertools.permutations(range(4), slots))
    found = ranked_log_prob(
        torch.tensor(logits, dtype=torch.float64).expand(len(choices), 1, 4), torch.tensor(choices).unsqueeze(1)
    ).exp()
    assert found.tolist() == pytest.approx([by_hand(logits, choice) for choice in choices])
    assert float(found.sum()) == pytest.approx(1.0)


def test_the_log_probability_of_several_segments_is_the_sum_of_theirs():
    logits = torch.tensor([[[0.1, 0.9, -0.4], [1.0, 0.0, 2.0]]], dtype=torch.float64)
    chosen = torch.tensor([[[2, 0], [1, 2]]])
    expected = math.log(by_hand(logits[0, 0], (2, 0))) + math.log(by_hand(logits[0, 1], (1, 2)))
    assert float(ranked_log_prob(logits, chosen)) == pytest.approx(expected)


@pytest.mark.parametrize("slots", [1, 2])
def test_sampled_choices_are_as_frequent_as_their_probabilities_say(slots):
    head = Head(orders=0, segments=1, products=3, slots=slots)
    output, _, action, _ = drawn(head, 40_000, seed=slots)
    logits = [*output[:3, 0].tolist(), *[float(output[3, 0])] * slots]
    choices = list(itertools.permutations(range(3 + slots), slots))
    seen = {choice: 0 for choice in choices}
    for choice in map(tuple, action.T.to(torch.int64).tolist()):
        seen[choice] += 1
    expected = [by_hand(logits, choice) * 40_000 for choice in choices]
    assert stats.chisquare([seen[choice] for choice in choices], expected).pvalue > 1e-3


def test_gaussian_actions_have_the_stated_mean_spread_and_density():
    head = Head(orders=2)
    output, log_std, action, log_prob = drawn(head, 50_000)
    error = (action.mean(1) - output[:, 0]).abs() / (log_std.exp() / 50_000**0.5)
    assert error.max() < 4
    assert action.std(1).tolist() == pytest.approx(log_std.exp().tolist(), rel=0.02)
    law = Normal(output.T, log_std.exp())
    assert torch.allclose(log_prob, law.log_prob(action.T).sum(-1), atol=1e-5)
    assert float(gaussian_log_density(torch.zeros(3), torch.zeros(3))) == pytest.approx(-1.5 * math.log(2 * math.pi))


def test_noise_is_standard_gaussian_for_orders_and_standard_gumbel_for_choices():
    noise = Head(orders=1, segments=1, products=1).noise(50, 4_000, seeded_generator("cpu", 9))
    assert noise.shape == (50, 3, 4_000)
    assert stats.kstest(noise[:, 0].flatten()[:20_000].numpy(), "norm").pvalue > 1e-3
    assert stats.kstest(noise[:, 1].flatten()[:20_000].numpy(), "gumbel_r").pvalue > 1e-3
    assert torch.isfinite(noise).all()


@pytest.mark.parametrize("slots", [1, 2])
def test_a_product_that_is_not_sold_is_never_recommended_however_high_its_output(slots):
    head = Head(orders=0, segments=2, products=3, slots=slots)
    output = torch.zeros(8, 5_000)
    output[0] = 60.0  # product 0 of the first segment, which cannot buy it
    output[4] = 1.0  # and of the second, which can
    mask = torch.tensor([[False, True, True], [True, True, True]]).unsqueeze(-1)
    _, _, action, log_prob = drawn(head, 5_000, mask=mask, output=output)
    for acted in (action, head.act(output, mask, None)[0]):
        exposure = head.exposure(acted)
        assert exposure[0, 0].max() == 0
        assert exposure[1, 0].max() == 1
    assert torch.isfinite(log_prob).all()
    again, _ = head.log_prob(output.T, torch.zeros(0), mask, action.T)
    assert torch.allclose(again, log_prob, atol=1e-5)


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_exposure_fills_at_most_the_slots_with_different_products(slots):
    head = Head(orders=2, segments=2, products=4, slots=slots)
    _, _, action, _ = drawn(head, 2_000, seed=4)
    exposure = head.exposure(action)
    assert exposure.shape == (2, 4, 2_000)
    assert set(exposure.unique().tolist()) == {0.0, 1.0}
    assert exposure.sum(1).max() == slots
    assert exposure.sum(1).min() == 0  # all slots may stay empty
    for copy in range(50):
        for segment in range(2):
            places = action[2 + segment * slots : 2 + (segment + 1) * slots, copy].tolist()
            assert exposure[segment, :, copy].nonzero().flatten().tolist() == sorted(p for p in places if p < 4)


def test_without_noise_the_mean_order_and_the_most_probable_products_are_decided():
    head = Head(orders=1, segments=1, products=3, slots=2)
    output = torch.tensor([0.7, 0.1, 2.0, 1.0, 0.5]).unsqueeze(-1)
    action, _ = head.act(output, None, None)
    assert action.flatten().tolist() == pytest.approx([0.7, 1.0, 2.0])
    assert head.exposure(action).flatten().tolist() == [0.0, 1.0, 1.0]


def test_nothing_is_recommended_where_nothing_is_the_most_probable():
    head = Head(orders=0, segments=1, products=2, slots=2)
    action, _ = head.act(torch.tensor([[0.0], [0.1], [3.0]]), None, None)
    assert head.exposure(action).sum() == 0


@pytest.mark.parametrize("slots", [1, 2])
def test_what_is_recorded_has_the_log_probability_that_learning_starts_from(slots):
    head = Head(orders=3, segments=2, products=3, slots=slots)
    mask = torch.tensor([[True, True, True], [True, False, True]]).unsqueeze(-1)
    output, log_std, action, log_prob = drawn(head, 300, mask=mask)
    again, _ = head.log_prob(output.T, log_std, mask, action.T)
    assert torch.allclose(again, log_prob, atol=1e-5)


def test_the_entropy_is_that_of_the_gaussians_and_of_the_first_slot():
    head = Head(orders=2, segments=2, products=2)
    output, log_std = torch.randn(5, 8, generator=seeded_generator("cpu", 1)), torch.tensor([-0.5, 0.2])
    _, entropy = head.log_prob(output, log_std, None, torch.zeros(5, head.actions))
    expected = Normal(0.0, log_std.exp()).entropy().sum()
    expected = expected + Categorical(logits=output[:, 2:].view(5, 2, 3)).entropy().sum(-1).mean()
    assert float(entropy) == pytest.approx(float(expected), rel=1e-5)


def test_gradients_are_finite_where_products_are_masked():
    head = Head(orders=0, segments=1, products=2, slots=2)
    output = torch.zeros(4, 3, requires_grad=True)
    mask = torch.tensor([[True, False]]).unsqueeze(-1)
    log_prob, entropy = head.log_prob(output, torch.zeros(0), mask, torch.tensor([[0.0, 2.0]]).expand(4, -1))
    (log_prob.sum() + entropy).backward()
    assert torch.isfinite(output.grad).all()
    assert not output.grad[:, 1].any()


@pytest.mark.parametrize("slots", [1, 2])
def test_the_chance_to_be_drawn_first_is_the_frequency_of_first_draws(slots):
    head = Head(orders=1, segments=2, products=3, slots=slots)
    mask = torch.tensor([[True, True, True], [True, False, True]]).unsqueeze(-1)
    output, _, action, _ = drawn(head, 40_000, mask=mask)
    chance = head.probability(output[:, 0], mask)
    assert chance.shape == (2, 3)
    assert chance[1, 1] == 0
    for segment, product in itertools.product(range(2), range(3)):
        seen = float((action[1 + segment * slots] == product).float().mean())
        assert seen == pytest.approx(float(chance[segment, product]), abs=0.011)  # 4 standard errors at one half
