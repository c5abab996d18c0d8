"""A live firm whose supplying departments decide, with their orders, who gets scarce stock."""

import csv

import numpy as np
import pytest
import torch
import yaml

from coordinator.envs.core import FirmCore
from coordinator.experiments.run import DepartmentPolicy
from coordinator.live.book import Book
from coordinator.live.create import found
from coordinator.live.examiner import Examiner
from coordinator.live.feed_files import write_decisions
from coordinator.live.operation import Operation
from coordinator.live.policy_bundles import PolicyBundles
from coordinator.live.replay import replay
from coordinator.live.shadow import Play
from coordinator.live.simulated import LIVE
from coordinator.runs.folder import RunFolder
from departments.play.stepping import feasible
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import PolicyConfig
from departments.serving.numpy_policy import NumpyPolicy
from environment import parse_firm
from tests.coordinator.live.test_feed import FedOffice, observations, put
from tests.coordinator.live.test_operation import asked, begun, resumed
from tests.small_firms import PERIODS, fresh, stirred, world_of
from tests.small_runs import settings

LINES = ["east", "west", "customers"]


def scarce(allocation="learned", products=("tea", "rice"), **more):
    """A depot that sells as well, and little comes from outside."""
    store = {"holding_cost": 1, "backorder_cost": 7, "max_order": 20, "demand": {"law": "poisson", "mean": 4}}
    depot = store | {"max_order": 40, "initial_on_hand": 5, "allocation": allocation}
    points = {"depot": depot, "east": store, "west": store | {"backorder_cost": 2}} | more
    supply = [{"from": "outside", "to": "depot", "capacity": 20}]
    supply += [{"from": "depot", "to": name} for name in points if name != "depot"]
    firm = {"name": "scarce", "periods": PERIODS, "products": list(products), "stock_points": points, "supply": supply}
    return parse_firm(firm)


def a_run(path, firm, policy, scale=0.2):
    """A run whose departments do something."""
    run = RunFolder(path)
    run.create(firm, settings(policy=policy))
    snapshots = [stirred(one, i, scale) for i, one in enumerate(fresh(*world_of(firm), policy))]
    for snapshot in snapshots:
        run.save_snapshot(snapshot, {})
    return snapshots


def started(tmp_path, policy=None, **options):
    firm, policy = scarce(**options), policy or PolicyConfig(hidden=(8,), observation="everything")
    snapshots = a_run(tmp_path / "run", firm, policy)
    (tmp_path / "firm.yaml").write_text(firm.to_yaml())
    return begun(tmp_path / "f", str(tmp_path / "firm.yaml"), str(tmp_path / "run")), snapshots


def said(tick):
    return tick["departments"]["depot"]["precedence"]


@pytest.mark.parametrize("form", ["residual", "plain"])
@pytest.mark.parametrize("over", ["joint", "shared"])
def test_a_live_firm_decides_what_its_policies_decide_in_simulations_and_its_audit_is_true(form, over, tmp_path):
    policy = PolicyConfig(hidden=(8,), observation="everything", form=form, over_products=over)
    operation, snapshots = started(tmp_path, policy)
    simulated, firm = operation.clients.world, scarce()
    world, observer = world_of(firm)
    departments, state, scarcely = FirmPolicy(world, observer, snapshots), world.reset(1), []
    for t in range(14):
        decision = departments.decide(world, state, None, t, None)
        order, _ = feasible(world, decision, state, t)
        chance = simulated.chance(t, operation.now.moment.arrays, LIVE)
        tick = operation.tick()
        rows = tick["departments"]
        told = [[rows[name]["order"][product] for product in firm.products] for name in firm.names]
        told += [[said(tick)[f"{customer}/{product}"] for product in firm.products] for customer in LINES]
        assert order[..., 0].tolist() == told
        assert {name for name, row in rows.items() if "precedence" in row} == {"depot"}
        state, _ = world.step(state, order, chance)
        assert torch.equal(state.owed, torch.as_tensor(operation.now.moment.arrays["owed"]))
        scarcely.append(bool((state.owed > 0).any()))
    assert sum(scarcely) > 5
    assert len({value for tick in operation.book.ticks() for value in said(tick).values()}) > 4
    found = replay(tmp_path / "f")
    assert (found["ticks"], found["faults"]) == (14, [])
    statement = "update ticks set record = json_set(record, '$.departments.depot.precedence.\"west/tea\"', ?)"
    operation.book._file.execute(statement, (-20.0,))
    assert replay(tmp_path / "f")["faults"], "what was decided is what stands in the book"


def test_it_goes_on_after_a_death_with_a_proposal_and_with_orders_by_hand(tmp_path):
    operation, _ = started(tmp_path)
    whole = [operation.tick() for _ in range(6)]
    (tmp_path / "again").mkdir()
    again, _ = started(tmp_path / "again")
    for t in range(6):
        if t % 2:
            again.propose()
        again.book.close()
        again = resumed(tmp_path / "again" / "f")
        assert said(again.tick()) == said(whole[t])
    answer = asked(operation, "override", "depot", order={"tea": 3}, periods=1)
    expected = again.tick()["departments"]["depot"]
    assert answer.state == "done"
    row = operation.tick()["departments"]["depot"]
    assert (row["mode"], row["order"]["tea"], row["precedence"]) == ("override", 3, expected["precedence"])
    assert replay(tmp_path / "f")["faults"] == []


def test_who_decides_nothing_of_it_is_served_by_shortage(tmp_path):
    operation, _ = started(tmp_path)
    nothing = {f"{customer}/{product}": 0.0 for customer in LINES for product in ("tea", "rice")}
    bundle = PolicyBundles(scarce()).policy("depot", "base-stock:depot=30,east=9,west=9")
    assert asked(operation, "swap", "depot", bundle).state == "done"
    assert said(operation.tick()) == nothing
    assert asked(operation, "rollback", "depot").state == "done"
    assert said(operation.tick()) != nothing
    assert asked(operation, "pause", "depot").state == "done"
    assert said(operation.tick()) == nothing
    assert asked(operation, "resume", "depot").state == "done"
    operation.clients.silent.add("depot")
    assert said(operation.tick()) == nothing
    assert replay(tmp_path / "f")["faults"] == []
    other = scarce("shortage")
    a_run(tmp_path / "other", other, PolicyConfig(hidden=(8,)))
    with pytest.raises(
        ValueError, match=r"which is built otherwise than 'scarce': .* learned allocation must be the same"
    ):
        PolicyBundles(scarce()).policy("depot", str(tmp_path / "other"))


def test_who_asks_a_policy_by_itself_is_told_the_same(tmp_path):
    operation, _ = started(tmp_path)
    before, row = operation.now, operation.tick()["departments"]["depot"]
    policies = {name: DepartmentPolicy(PolicyBundles(scarce()), NumpyPolicy(b)) for name, b in before.bundles.items()}
    seen = before.moment.features[before.bundles["depot"].arrays["rows"], 0]
    assert policies["depot"].precedence(seen) == row["precedence"]
    assert policies["depot"].order(seen) == row["order"]
    assert policies["east"].precedence(seen) == {}


def test_firms_in_shadow_play_it_too(tmp_path):
    operation, _ = started(tmp_path)
    examiner = Examiner(operation.structures[0], 5)
    deciders = {name: NumpyPolicy(bundle) for name, bundle in operation.now.bundles.items()}
    start = Play(0, operation.now.moment.arrays, operation.now.memories, np.zeros((3, 1)))
    played = examiner.play(start, deciders, 8, LIVE)
    for _ in range(8):
        operation.tick()
    assert np.array_equal(played.arrays["owed"], operation.now.moment.arrays["owed"])


def test_a_fed_firm_says_it_in_a_file(tmp_path):
    policy, feed = PolicyConfig(hidden=(8,), observation="downstream"), tmp_path / "feed"
    real, _ = started(tmp_path, policy)
    found(tmp_path / "fed", scarce(), str(tmp_path / "run"), seed=5, settings={"feed": str(feed)})
    shadowed = Operation(tmp_path / "fed", Book(tmp_path / "fed" / "book.sqlite"), FedOffice(tmp_path / "fed", feed))
    real.sales = np.zeros_like(real.now.moment.account["demand"])
    for period in range(6):
        put(feed, period, *observations(real))
        shadowed.arrive(*shadowed.clients.world.observe(period, shadowed.now.moment.arrays))
        backlog = real.now.moment.account["backlog"]
        there, here = real.tick(), shadowed.tick()
        account = real.now.moment.account
        real.sales = backlog + account["demand"] - account["backlog"]
        assert said(here) == said(there)
        assert here["departments"]["depot"]["order"] == there["departments"]["depot"]["order"]
        assert here["money"] == pytest.approx(there["money"])
    decisions = {name: row["order"] for name, row in here["departments"].items()}
    write_decisions(feed, 5, shadowed.layout, decisions, {"depot": said(here)})
    rows = list(csv.DictReader((feed / "out" / "precedence-5.csv").read_text().splitlines()))
    assert [(row["stock_point"], row["customer"], row["product"]) for row in rows] == [
        ("depot", customer, product) for customer in LINES for product in ("tea", "rice")
    ]
    assert [float(row["units"]) for row in rows] == list(said(here).values())
    assert replay(tmp_path / "fed")["faults"] == []


def test_of_a_customer_who_opens_nothing_is_said_until_somebody_knows_it(tmp_path):
    operation, _ = started(tmp_path, PolicyConfig(hidden=(8,)), products=("unit",))
    for _ in range(3):
        before = operation.tick()
    plain = yaml.safe_load(scarce(products=("unit",)).to_yaml())
    plain["stock_points"]["north"] = plain["stock_points"]["east"]
    plain["supply"].append({"from": "depot", "to": "north"})
    plan = Examiner(operation.structures[0], 5).change(
        {"firm": yaml.safe_dump(plain, sort_keys=False)}, operation.now.bundles
    )
    operation.book.prepare(plan.structure)
    answer = asked(operation, "change", "", plan)
    assert answer.state == "done", answer.message
    after = operation.tick()
    assert list(said(before)) == ["east/unit", "west/unit", "customers/unit"]
    assert list(said(after)) == ["east/unit", "west/unit", "north/unit", "customers/unit"]
    assert said(after)["north/unit"] == 0
    assert any(said(after).values())
    for _ in range(3):
        operation.tick()
    assert replay(tmp_path / "f")["faults"] == []


def test_who_decides_orders_alone_says_so():
    with pytest.raises(ValueError, match=r"depot\.allocation learned: an action is orders alone here; take another"):
        FirmCore(scarce())
