"""Regimes: the chain, what is drawn in each, what departments see of it; the slow oracle replays it on random firms."""

import numpy as np
import pytest
import torch
import yaml
from scipy import stats

from coordinator.live.simulated import Simulated
from departments.decisions import Decision
from departments.named_policies import parse_policy
from departments.play.episode import run_episodes
from environment import World, load_firm, parse_firm
from environment.observation import Observer
from tests.environment.test_happenings import line, near, shop

RUSH = {"calm": {"next": {"rush": 0.1}}, "rush": {"demand": 2, "next": {"calm": 0.3}}}
SHARE = 0.1 / (0.1 + 0.3)


def world_of(firm):
    return World(firm, np.full((len(firm.names), len(firm.products)), 20.0))


def drawn(firm, periods=4000, copies=16, **more):
    world = world_of(firm)
    return world, world.draw(periods, copies, world.generator(3), **more)


def test_the_chain_is_where_its_stationary_law_says_and_stays_as_long():
    _, chance = drawn(shop(regimes=RUSH))
    rush = chance.flags[:, 0].numpy()
    assert rush.mean() == pytest.approx(SHARE, abs=0.01)
    starts = (np.diff(rush, axis=0) == 1).sum()
    assert rush.sum() / starts == pytest.approx(1 / 0.3, rel=0.03)
    assert rush[0].sum() < 8, "episodes begin in the first one"


def test_demand_is_that_of_the_regime_of_its_period():
    _, chance = drawn(shop(regimes=RUSH))
    now = torch.cat((torch.zeros_like(chance.flags[:1]), chance.flags[:-1]))[:, 0] > 0
    demand = chance.demand[:, 0, 0]
    assert float(demand[~now].mean()) == pytest.approx(10, abs=0.1)
    assert float(demand[now].mean()) == pytest.approx(20, abs=0.2)
    assert float(demand[now].var()) == pytest.approx(20, rel=0.05), "Poisson with that mean"
    local = line(regimes={"calm": {"next": {"rush": 0.5}}, "rush": {"demand": {"shop": 0}}})
    assert float(drawn(local)[1].demand[100:].sum()) == 0, "nothing leads back"


def test_lead_times_and_costs_are_those_of_the_regime():
    slow = {"lead_time": {"outside": 3}, "holding_cost": 0.5, "backorder_cost": 2, "unit_cost": 4}
    regimes = {"calm": {"next": {"slow": 0.2}}, "slow": slow | {"next": {"calm": 0.3}}}
    firm = line({"lead_time": {"law": "uniform", "low": 1, "high": 2}}, warehouse={"unit_cost": 1}, regimes=regimes)
    world, chance = drawn(firm, periods=200)
    on = chance.flags[:, 0] > 0
    outside = world.network.edge_names.index(("outside", "warehouse"))
    more = 3 * on.to(torch.int16)
    usual = chance.lead_time[:, outside, 0] - more
    assert usual.min() == 1
    assert usual.max() == 2
    assert (chance.lead_time[:, 1 - outside] == 1).all(), "others are as they were"
    torch.testing.assert_close(chance.cost_factor[:, 0, 0, 0], torch.where(on, 0.5, 1.0))
    torch.testing.assert_close(chance.cost_factor[:, 1, 1, 0], torch.where(on, 2.0, 1.0))
    before = torch.cat((torch.zeros_like(on[:1]), on[:-1]))
    torch.testing.assert_close(chance.purchase_factor[:, 0], torch.where(before, 4.0, 1.0))
    assert world.slots == 5


def test_a_regime_begins_when_it_is_said_to_whoever_was_before():
    jump = {"calm": {"next": {"rush": 0.5}}, "rush": {}, "new": {"begins": 5, "demand": 3}}
    firm = shop(regimes=jump)
    _, chance = drawn(firm, periods=10)
    row = world_of(firm).network.regimes.shown.index(2)
    assert (torch.tensor([0.0] * 4 + [1.0] * 6) == chance.flags[:, row].T).all(), "the flags of period 5 are told at 4"
    _, later = drawn(firm, periods=4, start=7)
    assert not later.flags[:, row].any(), "who comes later begins in the first one"
    assert world_of(firm).network.regimes.begins == {5: 2}


def in_time(**rush):
    """A shop whose orders are there at once, and whose demand is twice as much in a rush."""
    regimes = RUSH | {"rush": RUSH["rush"] | rush}
    return shop(edge={"lead_time": 0}, regimes=regimes, periods={"train": 64, "evaluate": 80, "warm_up": 20})


def newsvendors():
    """Its best levels in a rush and else, and what they cost a period."""
    units, levels, costs = np.arange(120), [], []
    for mean in (20, 10):
        left = np.maximum(units[:, None] - units, 0) @ stats.poisson.pmf(units, mean)
        cost = left + 9 * (left - units + mean)
        levels.append(int(cost.argmin()))
        costs.append(cost.min())
    return levels, costs


class ByRegime:
    """Order up to a level for each of two regimes."""

    name = "by regime"

    def __init__(self, levels):
        self.levels = levels

    def decide(self, world, state, feedback, period, memory):
        level = torch.where(state.aside[-1:] > 0, *(torch.tensor(float(level)) for level in self.levels))
        return Decision(level - state.inventory_position, None, memory)


def test_whoever_sees_the_regime_pays_what_the_newsvendor_of_each_pays():
    """With lead time 0 and backorders the best level of a period is the newsvendor's of its law (Song & Zipkin)."""
    firm, (levels, cost) = in_time(), newsvendors()
    world = world_of(firm)
    chance = world.draw(79, 4096, world.generator(5))
    share = float(chance.flags[19:, 0].mean())
    found = run_episodes(world, ByRegime(levels), chance)
    expected = 60 * (share * cost[0] + (1 - share) * cost[1])
    near(found, expected, errors=4)
    blind = [parse_policy(f"base-stock:shop={level}", firm) for level in range(14, 25)]
    best_blind = min(run_episodes(world, rule, chance).cost.mean() for rule in blind)
    assert found.cost.mean() < best_blind - 50, "it is worth to see it"


def test_departments_are_told_of_known_regimes_alone():
    hidden = {"calm": {"next": {"rush": 0.1, "flood": 0.1}}, "rush": {"known": False}, "flood": {}}
    firm = line(regimes=hidden)
    observer = Observer(world_of(firm), np.full((2, 1), 20.0))
    (told,) = (label for label in observer.labels() if label.startswith("regime"))
    assert told == "regime/flood"
    row = observer.labels().index(told)
    for kind in ("own", "downstream", "everything", "pipeline"):
        assert row in observer.rows(kind, 0)
    world, chance = drawn(firm, periods=30)
    state = world.reset(16)
    for t in range(30):
        state, _ = world.step(state, torch.zeros(2, 1, 16), chance.at(t))
        flood = chance.flags[t, world.network.regimes.shown.index(2)]
        torch.testing.assert_close(observer.units(state)[row], flood)
    plain = Observer(world_of(shop()), np.full((1, 1), 20.0))
    assert not plain.regime_rows


def test_operation_goes_on_in_the_regime_in_force():
    firm = shop(regimes={"calm": {"next": {"strike": 1}}, "strike": {"demand": 0}})
    simulated = Simulated(firm.to_yaml(), 1)
    moment = simulated.begin()
    asked = []
    for tick in range(6):
        moment = simulated.step(tick, moment.arrays, np.full((1, 1, 1), 3.0), None)
        asked.append(float(moment.account["demand"].sum()))
    assert asked[0] > 0
    assert asked[1:] == [0.0] * 5


def test_firm_files_keep_their_regimes():
    firm = shop(regimes=RUSH | {"new": {"begins": 9, "demand": {"shop": 2}}})
    assert parse_firm(yaml.safe_load(firm.to_yaml())) == firm


@pytest.mark.parametrize(
    ("regimes", "told"),
    [
        ({"calm": {}}, "regimes must be 2 to 16, the first one where episodes begin, got 1"),
        ({"calm": {}, "rush": {}}, "regimes.rush is never in force: lead to it by next of another one, or by begins"),
        ({"calm": {"next": {"rsh": 1}}, "rush": {}}, "regimes.calm.next.rsh is not there; known are calm, rush"),
        (
            {"calm": {"next": {"rush": 0.6, "new": 0.6}}, "rush": {}, "new": {}},
            "regimes.calm.next must sum to at most 1",
        ),
        ({"calm": {}, "rush": {"begins": 3, "demand": {"depot": 2}}}, "regimes.rush.demand.depot is not there; known"),
        ({"calm": {}, "rush": {"begins": 3, "lead_time": {"mill": 2}}}, "regimes.rush.lead_time.mill is not there"),
        ({"calm": {}, "rush": {"begins": 3, "lead_time": 0.5}}, "regimes.rush.lead_time must be a whole number"),
        ({"calm": {}, "rush": {"begins": 3, "price": 2}}, "regimes.rush.price"),
        ({"calm": {}, "a": {"begins": 3}, "b": {"begins": 3}}, "regimes: two of them begin in period 3"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(regimes, told):
    with pytest.raises(ValueError, match=told.replace(".", r"\.")) as refusal:
        shop(regimes=regimes)
    assert "\n" not in str(refusal.value)


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match=r"regimes.rush.demand: a sequence happens as it happened"):
        shop({"demand": {"law": "sequence", "values": [1, 2]}}, regimes=RUSH)
    with pytest.raises(ValueError, match=r"no exact optimum here, as demand, lead times or costs switch \(regimes\)"):
        parse_policy("optimum", shop(regimes=RUSH))
    firm = load_firm("closing-loop").model_dump(by_alias=True, exclude_unset=True)
    with pytest.raises(ValueError, match=r"regimes.rush.demand is of laws of demand, and customers choose here"):
        parse_firm(firm | {"regimes": RUSH})
