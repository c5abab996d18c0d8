"""What happens in firms beyond the papers' period: closed forms and small programmes beside it."""

import numpy as np
import pytest
import torch

from departments.named_policies import parse_policy
from departments.play.compiled_episodes import CompiledEpisodes
from departments.rules.ordering import baseline_levels
from environment import Network, World, parse_firm
from environment.laws import Poisson

POISSON = {"law": "poisson", "mean": 10}


def shop(point=(), edge=(), **firm):
    """One shop that buys from outside."""
    point = {"holding_cost": 1, "backorder_cost": 9, "max_order": 1000, "demand": POISSON} | dict(point)
    supply = [{"from": "outside", "to": "shop"} | dict(edge)]
    return parse_firm({"name": "shop-firm", "stock_points": {"shop": point}, "supply": supply} | firm)


def line(upper=(), lower=(), warehouse=(), **firm):
    """A warehouse and its shop; edges from outside and between them."""
    points = {
        "warehouse": {"holding_cost": 0.5, "max_order": 1000} | dict(warehouse),
        "shop": {"holding_cost": 1, "backorder_cost": 9, "max_order": 1000, "demand": POISSON},
    }
    supply = [{"from": "outside", "to": "warehouse"} | dict(upper), {"from": "warehouse", "to": "shop"} | dict(lower)]
    return parse_firm({"name": "line", "stock_points": points, "supply": supply} | firm)


def played(firm, policy, episodes=4096, seed=1):
    """What evaluation episodes of a policy bring."""
    world = World(firm, baseline_levels(firm))
    chance = world.draw(firm.periods.evaluate - 1, episodes, world.generator(seed))
    return CompiledEpisodes(world, pytest.fail).episodes(parse_policy(policy, firm), chance)


def near(found, expected, errors=3.5):
    """Whether a mean cost is the expected one, within its standard error."""
    error = found.cost.std(ddof=1) / np.sqrt(len(found.cost))
    assert abs(found.cost.mean() - expected) < errors * error


@pytest.mark.parametrize("unmet", ["backorder", "lost"])
def test_an_order_of_the_morning_is_a_newsvendor_s(unmet):
    firm, mass = shop(edge={"lead_time": 0}, unmet=unmet), Poisson(mean=10).mass()
    left = np.maximum(np.arange(40)[:, None] - np.arange(len(mass)), 0) @ mass
    cost = left + 9 * (left - np.arange(40) + 10)  # holding what is left, penalty on what is short
    assert baseline_levels(firm).item() == cost.argmin() == 14
    near(played(firm, "decomposition-aggregation"), 50 * cost.min())


@pytest.mark.parametrize("lead_times", [(0, 0), (2, 0), (0, 2)])
def test_a_line_that_is_in_time_costs_what_clark_and_scarf_say(lead_times):
    firm = line(*({"lead_time": time} for time in lead_times))
    near(played(firm, "optimum"), parse_policy("optimum", firm).expected_cost)


def test_a_day_s_law_may_have_orders_that_are_in_time():
    firm = shop(edge={"lead_time": {"law": "uniform", "low": 0, "high": 2}})
    late = shop(edge={"lead_time": {"law": "uniform", "low": 1, "high": 2}})
    assert baseline_levels(firm).item() < baseline_levels(late).item()
    with pytest.raises(ValueError, match="no exact optimum here, as a lead time is 0, which needs backorders"):
        parse_policy("optimum", shop(edge={"lead_time": 0}, unmet="lost"))


def test_a_point_may_lose_what_others_keep_waiting():
    lost, waits = shop({"unmet": "lost"}), shop(unmet="lost")
    assert lost.unmet_demand == waits.unmet_demand == "lost"
    assert shop({"unmet": "backorder"}, unmet="lost").unmet_demand == "backorder"
    assert np.array_equal(played(lost, "base-stock:shop=22").cost, played(waits, "base-stock:shop=22").cost)
    with pytest.raises(ValueError, match=r"shop: unmet and lost_share say the same; remove one of the two"):
        shop({"unmet": "lost", "lost_share": 0.5})
    with pytest.raises(ValueError, match=r"warehouse\.lost_share: no customer buys here"):
        line(warehouse={"lost_share": 0.5})


def test_a_share_of_what_is_short_is_lost_on_average_and_the_rest_waits():
    firm = shop(
        {"lost_share": 0.3, "initial_on_hand": 0, "max_order": 1, "demand": 1}, periods={"evaluate": 3, "warm_up": 0}
    )
    world = World(firm, baseline_levels(firm))
    chance, state = world.draw(2, 40_000, world.generator(1)), world.reset(40_000)
    none = state.on_hand * 0
    for t in range(2):  # one unit is asked for and short in each period
        state, outcome = world.step(state, none, chance.at(t))
        lost = world.lost(state, outcome)
        assert set(lost.unique().tolist()) == {0, 1}
        assert lost.mean().item() == pytest.approx(0.3, abs=0.01)
    assert world.backlog(state).mean().item() == pytest.approx(1.4, abs=0.02)
    with pytest.raises(ValueError, match="no exact optimum here, as a share of unmet demand is lost"):
        parse_policy("optimum", firm)


def two_shops(depot=(), first=(), second=()):
    """A depot whose stock is short, and two shops that ask for the same."""
    store = {"holding_cost": 2, "backorder_cost": 20, "max_order": 50, "demand": 5}
    edges = [{"from": "depot", "to": "a"} | dict(first), {"from": "depot", "to": "b"} | dict(second)]
    points = {"depot": {"holding_cost": 1, "max_order": 50, "initial_on_hand": 7} | dict(depot), "a": store, "b": store}
    return parse_firm({"name": "pair", "stock_points": points, "supply": edges})


@pytest.mark.parametrize(
    ("firm", "sent"),
    [
        (two_shops(), [1, 6]),  # the lower position first
        (two_shops(first={"priority": 1}, second={"priority": 2}), [7, 0]),
        (two_shops(first={"priority": 9}), [7, 0]),  # who has none comes last
        (two_shops(second={"priority": 9}), [1, 6]),
        (two_shops({"allocation": "proportional"}), [4, 3]),  # 7 of 16: 10 x 7/16 = 4.4, all 7 together
    ],
)
def test_scarce_stock_goes_to_whom_the_firm_file_says(firm, sent):
    world = World(firm, np.zeros((3, 1)))
    order = world.max_order.new_tensor([0, 10, 6]).view(3, 1, 1).expand(3, 1, 2)
    after, _ = world.step(world.reset(2), order, world.draw(1, 2, world.generator(1)).at(0))
    assert after.pipeline[0, :2, 0, 0].tolist() == sent


def two_suppliers(first=(), second=(), law=10, **firm):
    """East and west, and the shop that buys from both."""
    points = {name: {"holding_cost": 1, "max_order": 50, "initial_on_hand": 8} for name in ("east", "west")}
    points["shop"] = {"holding_cost": 2, "backorder_cost": 20, "max_order": 50, "demand": law}
    edges = [{"from": "west", "to": "shop"} | dict(first), {"from": "east", "to": "shop"} | dict(second)]
    return parse_firm({"name": "two-sources", "stock_points": points, "supply": edges} | firm)


def bought(firm, ordered, periods=1, copies=1):
    """What the shop's order of some units makes (east, west) lose or owe, in each period and copy."""
    world = World(firm, np.zeros((3, 1)))
    chance, state = world.draw(periods, copies, world.generator(1)), world.reset(copies)
    order = world.max_order.new_tensor([0, 0, ordered]).view(3, 1, 1).expand(3, 1, copies)
    return np.array([world.placed(state, order, chance.at(t))[:2].numpy() for t in range(periods)])


@pytest.mark.parametrize(
    ("firm", "ordered", "expected"),
    [
        (two_suppliers(supplier_choice="preferred"), 9, [0, 9]),  # west stands first in the file
        (two_suppliers(supplier_choice="priority"), 9, [0, 9]),
        (two_suppliers(second={"preference": 1}, supplier_choice="preferred"), 9, [9, 0]),
        (two_suppliers({"priority": 2}, {"priority": 1}, supplier_choice="priority"), 9, [9, 0]),
        (two_suppliers({"unit_cost": 3}, {"unit_cost": 2}, supplier_choice="cheapest"), 9, [9, 0]),
        (two_suppliers(supplier_choice="in-stock"), 8, [0, 8]),
        (two_suppliers(supplier_choice="in-stock"), 9, [0, 9]),  # nobody has it
        (two_suppliers({"share": 0.7}, {"share": 0.3}, supplier_choice="split"), 9, [3, 6]),
    ],
)
def test_who_delivers_is_what_the_firm_file_says(firm, ordered, expected):
    assert bought(firm, ordered)[0, :, 0].tolist() == expected


def test_who_has_stock_delivers_where_the_preferred_supplier_has_not():
    firm = two_suppliers(supplier_choice="in-stock")
    short = firm.stock_points["west"].model_copy(update={"initial_on_hand": 5})
    firm = firm.model_copy(update={"stock_points": firm.stock_points | {"west": short}})
    assert [bought(firm, units)[0, :, 0].tolist() for units in (5, 6, 9)] == [[0, 5], [6, 0], [0, 9]]


def test_shares_of_suppliers_are_drawn_and_flow_and_levels_follow_them():
    firm = two_suppliers({"share": 0.3}, {"share": 0.7})
    went = bought(firm, 1, periods=100, copies=200)
    assert went.mean((0, 2)) == pytest.approx([0.7, 0.3], abs=0.02)
    assert Network.of(firm).mean_flow()[:, 0].tolist() == pytest.approx([7, 3, 10])
    even = two_suppliers({"share": 0.5}, {"share": 0.5})
    assert np.array_equal(baseline_levels(even), baseline_levels(two_suppliers()))
    poisson = [
        two_suppliers(*({"share": share} for share in shares), law=POISSON) for shares in ((0.3, 0.7), (0.5, 0.5))
    ]
    (east, west, _), (same, _, _) = (baseline_levels(one)[:, 0] for one in poisson)
    assert west < same < east


@pytest.mark.parametrize(
    ("first", "firm", "told"),
    [
        ({"share": 0.7}, {}, r"the shares of all suppliers of shop must sum to 1, got 0.7 of 1 of 2"),
        (
            {"share": 0.7},
            {"supplier_choice": "preferred"},
            r"share is for supplier_choice random, split or ordered, got preferred",
        ),
        ({"preference": 1}, {}, r"preference is for supplier_choice preferred or in-stock, got random"),
        ({"unit_cost": 1}, {}, r"the suppliers of shop must have the same unit_cost, as supplier_choice is random"),
        ({}, {"supplier_choice": "cheapest"}, r"supplier_choice cheapest needs a unit_cost on supply edges"),
    ],
)
def test_what_a_rule_of_choice_does_not_use_is_refused(first, firm, told):
    with pytest.raises(ValueError, match=told):
        two_suppliers(first, **firm)


def test_stock_that_expires_costs_what_its_markov_chain_says():
    life = {"shelf_life": 2, "waste_cost": 4, "initial_on_hand": 5, "demand": {"law": "uniform", "low": 0, "high": 2}}
    firm, level = shop(life, {"lead_time": 1}), 5
    law = {
        (5, 0, 0, 0.0, 0.0): 1.0
    }  # stock that can be sold once more, backlog, arriving, and last what it cost, wasted
    for _ in range(200):
        after: dict[tuple[float, ...], float] = {}
        for (old, owed, due, *_), chance in law.items():
            order = max(level - (old + due - owed), 0)
            for demand in range(3):
                used = min(old + due, owed + demand)
                waste, kept, waits = max(old - used, 0), due - max(used - old, 0), owed + demand - used
                state = kept, waits, order, kept + 9 * waits + 4 * waste, waste
                after[state] = after.get(state, 0.0) + chance / 3
        law = after
    cost, waste = (sum(chance * state[i] for state, chance in law.items()) for i in (3, 4))
    found = played(firm, f"base-stock:shop={level}")
    near(found, 50 * cost)
    assert waste > 0.1
    assert found.waste.item() == pytest.approx(waste, rel=0.02)
    with pytest.raises(ValueError, match=r"no exact optimum here, as stock expires \(shelf_life\)"):
        parse_policy("optimum", firm)


@pytest.mark.parametrize("shut", [0, 1])
def test_what_is_ordered_from_who_is_shut_waits_and_all_of_it_leaves_later(shut):
    firm = line(*({"disruption": {"start": 0.05, "end": 0.25}} if i == shut else {} for i in range(2)))
    world = World(firm, np.full((2, 1), 50.0))
    chance, state = world.draw(4000, 4, world.generator(1)), world.reset(4)
    order, flags = (world.max_order * 0 + 10).expand(2, 1, 4), []
    for t in range(4000):
        before, (state, _) = state, world.step(state, order, chance.at(t))
        flags.append(state.aside[0, 0])
        if shut == 0:  # outside: what was ordered before and is not under way, waits
            left = world.waiting(before)[0, 0] + 10 - world.waiting(state)[0, 0]
            assert torch.equal(left * state.aside[0, 0], left * 0)
        else:
            assert not (state.pipeline[0, 0, 0] * state.aside[0, 0]).any()
    down = torch.stack(flags)
    assert down.mean().item() == pytest.approx(0.05 / 0.30, abs=0.02)
    begins = ((down[1:] > down[:-1]).float().mean() / (1 - down).mean()).item()
    assert begins == pytest.approx(0.05, abs=0.01)
    with pytest.raises(ValueError, match=r"no exact optimum here, as a supplier may be shut \(disruption\)"):
        parse_policy("optimum", firm)


def test_an_order_that_takes_a_period_to_the_supplier_is_a_lead_time_one_longer():
    late, slow = shop({"order_lead_time": 1}, {"lead_time": 1}), shop(edge={"lead_time": 2})
    assert np.array_equal(baseline_levels(late), baseline_levels(slow))
    assert np.array_equal(played(late, "optimum").cost, played(slow, "optimum").cost)
    with pytest.raises(
        ValueError, match=r"order_lead_time is for suppliers outside; .* add it to supply\[1\]\.lead_time"
    ):
        parse_firm(
            {
                "name": "line",
                "stock_points": {
                    "warehouse": {"holding_cost": 1, "max_order": 9},
                    "shop": {"holding_cost": 1, "max_order": 9, "demand": 3, "order_lead_time": 1},
                },
                "supply": [{"from": "outside", "to": "warehouse"}, {"from": "warehouse", "to": "shop"}],
            }
        )


def test_a_firm_may_start_with_customers_who_wait_and_orders_that_are_due():
    firm = shop({"initial_backlog": 10, "initial_on_hand": 2}, {"lead_time": 2, "initial_pipeline": [4, 0, 7]})
    world = World(firm, np.zeros((1, 1)))
    state = world.reset(1)
    assert world.backlog(state).item() == 10
    assert state.pipeline.flatten().tolist() == [4, 0, 7]
    assert state.inventory_position.item() == 2 + 11 - 10
    assert world.holding(state).item() == 2 + 9 * 10
    with pytest.raises(ValueError, match=r"got -10: units owed to customers are initial_backlog: 10"):
        shop({"initial_on_hand": -10})
    with pytest.raises(ValueError, match=r"shop\.initial_backlog: nobody waits here"):
        shop({"initial_backlog": 3}, unmet="lost")
    with pytest.raises(ValueError, match=r"initial_pipeline has no period to arrive in, as lead_time is 0"):
        shop(edge={"lead_time": 0, "initial_pipeline": 3})


@pytest.mark.parametrize(("units", "under_way", "periods"), [(5, 0, 5), (10, 0, 2), (10, 50, 3)])
def test_an_edge_on_which_much_is_under_way_settles_at_the_lead_time_that_holds_itself_up(units, under_way, periods):
    """5 units leave a period: a lead time of T is one with 5 (T - 1) under way, so T = 2 + min(3, 5 (T - 1) // units).

    With 10 units there are two such times, and which of them it is depends on the start.
    """
    edge = {"lead_time": 2, "congestion": {"units": units, "most": 3}, "initial_pipeline": [under_way] * 2}
    firm = shop({"demand": 5}, edge)
    world = World(firm, baseline_levels(firm))
    state, order = world.reset(1), torch.full((1, 1, 1), 5.0)
    chance = world.draw(40, 1, world.generator(1))
    for t in range(40):
        state, _ = world.step(state, order, chance.at(t))
    assert float(world.in_transit(state)) == 5 * periods


@pytest.mark.parametrize(("on_hand", "backlog", "arriving", "wait"), [(3, 0, (), 0), (0, 0, (0, 2), 1), (2, 2, (), 4)])
def test_customers_choose_by_the_wait_that_stock_and_pipeline_promise(on_hand, backlog, arriving, wait):
    firm = parse_firm(
        {
            "name": "impatient",
            "stock_points": {
                "shop": {"holding_cost": 1, "max_order": 9, "initial_on_hand": on_hand, "initial_backlog": backlog}
            },
            "customers": {"shop": {"segments": {"all": {"traffic": 20, "preference": 1, "impatience": 0.5}}}},
            "supply": [{"from": "outside", "to": "shop", "lead_time": 4, "initial_pipeline": list(arriving) or 0}],
        }
    )
    world = World(firm, np.zeros((1, 1)), slots=9)  # of which nobody waits for more than the longest lead time
    state, chance = world.reset(8192), world.draw(1, 8192, world.generator(2)).at(0)
    assert bool((world.wait(state) == wait).all())
    utility = np.exp(1 - 0.5 * wait)
    demand = world.demand(state, chance).double().flatten()
    assert abs(float(demand.mean()) - 20 * utility / (1 + utility)) < 3.5 * float(demand.std()) / np.sqrt(8192)


def test_congestion_needs_time_and_has_no_exact_optimum():
    with pytest.raises(ValueError, match=r"supply\[0\].congestion is of what is under way, and lead_time may be 0"):
        shop(edge={"lead_time": 0, "congestion": {"units": 5, "most": 3}})
    with pytest.raises(ValueError, match=r"lead times grow with what is under way \(congestion\)"):
        parse_policy("optimum", shop(edge={"congestion": {"units": 5, "most": 3}}))


def test_what_is_not_there_is_told_with_what_is_nearest():
    with pytest.raises(ValueError, match=r"shop\.needs is not modelled: nothing is assembled of other products"):
        shop({"needs": {"bike": {"wheel": 2}}})
    with pytest.raises(ValueError, match=r"capacity and lead_time 0 between stock points do not go together"):
        line({}, {"lead_time": 0, "capacity": 5})
    with pytest.raises(ValueError, match=r"waste_cost needs a shelf_life"):
        shop({"waste_cost": 3})


def test_a_shop_without_slack_recovers_a_period_after_who_supplies_it_is_open_again():
    """Unless he is shut again by then, which makes the outage longer: renewals tell how often, and how long."""
    start, end = 0.125, 0.25
    firm = shop(
        {"demand": 5, "initial_on_hand": 10},
        {"disruption": {"start": start, "end": end}},
        periods={"evaluate": 400, "warm_up": 100},
    )
    found = played(firm, "base-stock:shop=10", episodes=512)
    np.testing.assert_allclose(found.recovery_time, 1 / (1 - start), rtol=0.02)
    cycle = 1 / start + (1 / end + 1) / (1 - start)
    np.testing.assert_allclose(found.outages, 1 / cycle, rtol=0.02)
    assert np.isnan(played(shop(), "base-stock:shop=25", episodes=2).recovery_time)
