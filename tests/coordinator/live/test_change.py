"""A live firm takes on another firm file between two periods: `firmwide change`."""

import uuid

import numpy as np
import pytest
import yaml

from coordinator.cli import run
from coordinator.live.book import Command
from coordinator.live.examiner import Examiner
from coordinator.live.feed_files import observation_columns
from coordinator.live.policy_bundles import PolicyBundles
from coordinator.live.replay import replay
from coordinator.live.rolling import roll
from environment import load_firm
from tests.coordinator.live.test_operation import asked, begun, resumed
from tests.live_faults import a_run
from tests.live_firms import running, until, zeros
from tests.offices import Here


def changed(firm, close=(), opened=None, **point):
    """A firm file as text: points of `firm` close with all their edges, others open like some, or get new figures."""
    plain = yaml.safe_load(load_firm(firm).to_yaml())
    points = plain["stock_points"]
    for name, like in (opened or {}).items():
        points[name] = dict(points[like])
        plain["supply"] += [edge | {"to": name} for edge in plain["supply"] if edge["to"] == like]
    for name in close:
        del points[name]
    plain["supply"] = [edge for edge in plain["supply"] if not {edge["from"], edge["to"]} & set(close)]
    for name, given in point.items():
        points[name.replace("_", "-")] |= given
    return yaml.safe_dump(plain, sort_keys=False)


def twice_as_dear(firm):
    """All costs are twice what they were, under which the benchmark's levels stay."""
    plain = yaml.safe_load(load_firm(firm).to_yaml())
    for point in plain["stock_points"].values():
        point |= {key: 2 * point[key] for key in ("holding_cost", "backorder_cost") if key in point}
    return yaml.safe_dump(plain, sort_keys=False)


def events(firm, kind):
    return [event for event in firm.book.events() if event["kind"] == kind]


def balanced(details):
    """Every unit stands in the account, each that is gone or moved one by one."""
    for what in ("units", "owed", "ordered"):
        account = details[what]
        for product, before in account["before"].items():
            brought = account.get("brought", {}).get(product, 0.0)
            assert before + brought == account["after"][product] + account["gone"][product], (what, details)


def test_a_firm_of_other_figures_goes_on_and_its_audit_is_complete(tmp_path, monkeypatch):
    with running(tmp_path / "f", monkeypatch) as firm:
        firm.goes_on()
        answer = firm.ask("c", "change", firm=twice_as_dear("a1"))
        assert (answer["state"], answer["message"]) == (
            "done",
            f"the firm is built as a1 from period {answer['tick']} on",
        )
        firm.goes_on()
        until(lambda: firm.workers.monitor.metrics()["benchmark"]["tick"] > answer["tick"] + 3)
        figures = firm.workers.monitor.metrics()
        assert figures["structure"] == 1
        assert figures["benchmark"]["saving"] == pytest.approx(0, abs=1e-2), (
            "it follows the benchmark's levels, as before"
        )
        assert firm.deaths == []
        (event,) = events(firm, "change")
        assert event["tick"] == answer["tick"]
        assert event["details"]["moves"] == []
        cost = {tick["tick"]: tick["departments"]["retailer-1"] for tick in firm.book.ticks()}
    for tick, row in cost.items():
        times = 2 if tick > answer["tick"] else 1
        assert row["cost"] == times * (row["on_hand"]["unit"] + 19 * row["backlog"]["unit"]), tick
    assert replay(tmp_path / "f")["faults"] == []


MOVED = changed("a1", close=["retailer-2"], opened={"retailer-9": "retailer-3"})


def test_a_point_closes_and_one_opens_at_full_pace_without_a_tick_lost(tmp_path, monkeypatch):
    with running(tmp_path / "f", monkeypatch) as firm:
        firm.goes_on()
        assert firm.ask("s", "swap", "retailer-1", policy="base-stock:retailer-1=31", tolerance=9.0)["state"] == "done"
        refused = firm.ask("r", "change", firm=MOVED)
        assert refused["state"] == "refused"
        assert "retailer-2 closes with " in refused["message"]
        assert refused["message"].endswith("say --stock retailer-2=OTHER or --stock retailer-2=write-off")
        assert firm.workers.staff == {"warehouse", "retailer-1", "retailer-2", "retailer-3"}, "nobody is left over"
        before = firm.workers.monitor.metrics()
        answer = firm.ask("c", "change", firm=MOVED, stock={"retailer-2": "retailer-1"})
        assert answer["state"] == "done", answer
        assert (
            "; opened retailer-9; closed retailer-2; retailer-9 begins on decomposition-aggregation"
            in answer["message"]
        )
        firm.goes_on()
        until(lambda: firm.workers.monitor.metrics()["benchmark"]["tick"] > answer["tick"] + 3)
        figures = firm.workers.monitor.metrics()
        assert (
            set(figures["departments"]) == firm.workers.staff == {"warehouse", "retailer-1", "retailer-3", "retailer-9"}
        )
        assert figures["departments"]["retailer-1"]["version"] == 2, "who stays follows what it followed"
        assert figures["money"] > before["money"]
        assert figures["demand"] > before["demand"]
        assert firm.deaths == []
        (event,) = events(firm, "change")
        balanced(event["details"])
        assert event["details"]["follows"] == {"retailer-9": 1}
        ticks = firm.book.ticks(0, 100_000)
        assert [tick["tick"] for tick in ticks] == list(range(len(ticks)))
        by_tick = sum(tick["money"] for tick in ticks)
        at = firm.ticks()
    audited = replay(tmp_path / "f")
    assert audited["faults"] == []
    assert audited["decisions"] == 4 * audited["ticks"] >= 4 * at
    with running(tmp_path / "f", monkeypatch) as firm:  # `live --name`
        firm.goes_on()
        assert set(firm.workers.monitor.metrics()["departments"]) == firm.workers.staff
        past = firm.book.structures()[1].details["past"]
        figures = firm.workers.monitor.metrics()
        ticks = [tick for tick in firm.book.ticks(0, 100_000) if tick["tick"] < figures["tick"]]
        assert figures["money"] == pytest.approx(sum(tick["money"] for tick in ticks) + past)
        assert by_tick
    assert replay(tmp_path / "f")["faults"] == []


def test_whoever_runs_the_ticks_may_die_anywhere_in_a_change(tmp_path, monkeypatch):
    """All of it or nothing: the successor finds in the book what departments there must be."""
    operation = begun(tmp_path / "f", "a1")
    for _ in range(5):
        operation.tick()
    command = Command("c", "me", "change", "", {"firm": MOVED, "stock": {"retailer-2": "write-off"}}, "")
    for where, what in (("clients", "cross"), ("book", "prepare"), ("book", "amend"), ("", "_staff")):
        kept = operation.book.receive(command)
        assert kept.state == "pending"
        monkeypatch.setattr(getattr(operation, where) if where else operation, what, _die)
        with pytest.raises(KeyboardInterrupt):
            operation.carry_out(kept, plan_of(operation, kept))
        monkeypatch.undo()
        operation.book._file.execute("update commands set tries = 0")  # who dies over a command twice sets it aside
        operation.book.close()
        operation = resumed(tmp_path / "f")
        assert operation.layout.points == ["warehouse", "retailer-1", "retailer-2", "retailer-3"]
        operation.tick()
    assert operation.carry_out(operation.book.receive(command), plan_of(operation, command)).state == "done"
    operation.book.close()
    operation = resumed(tmp_path / "f")
    assert operation.layout.points == ["warehouse", "retailer-1", "retailer-3", "retailer-9"]
    assert list(operation.posts) == operation.layout.points
    operation.tick()
    again = operation.carry_out(operation.book.receive(command._replace(id="d")), plan_of(operation, command))
    assert again.message == "--stock retailer-2=write-off: retailer-2 does not close; it keeps what it has"
    operation.book.close()
    assert replay(tmp_path / "f")["faults"] == []


def test_points_may_stand_in_another_order(tmp_path):
    operation = begun(tmp_path / "f", "a1", "echelon-base-stock")
    for _ in range(4):
        operation.tick()
    before, plain = operation.now.moment.account, yaml.safe_load(load_firm("a1").to_yaml())
    plain["stock_points"] = dict(reversed(plain["stock_points"].items()))
    assert carried(operation, yaml.safe_dump(plain, sort_keys=False)).state == "done"
    for key in ("cost", "on_hand", "inventory_position"):
        np.testing.assert_array_equal(operation.now.moment.account[key], before[key][::-1])
    np.testing.assert_array_equal(operation.now.bundles["warehouse"].arrays["rows"], [3, 2, 1, 0])
    operation.tick()
    assert replay(tmp_path / "f")["faults"] == []


def _die(*_args, **_more):
    raise KeyboardInterrupt


def plan_of(operation, command):
    """What the critic finds of a change."""
    return Examiner(operation.structures[-1], 5).change(command.arguments, operation.now.bundles)


def carried(operation, firm, **asked):
    command = operation.book.receive(Command(uuid.uuid4().hex, "me", "change", "", {"firm": firm} | asked, ""))
    try:
        return operation.carry_out(command, plan_of(operation, command))
    except ValueError as error:
        return operation.carry_out(command, None, str(error))


@pytest.mark.parametrize(
    ("firm", "asked", "reason"),
    [
        ("shop", {}, "a firm file must be a mapping"),
        (
            "products: [tea]\n" + changed("a1"),
            {},
            "products must stay unit, in this order: begin another firm with",
        ),
        (MOVED, {"like": {"retailer-3": "retailer-1"}}, "retailer-3 is no stock point that opens (retailer-9)"),
        (MOVED, {"like": {"retailer-9": "north"}}, "--like retailer-9=north must name one of warehouse, retailer-1"),
        (MOVED, {"stock": ["retailer-2"]}, "--stock must give names by name, got ['retailer-2']"),
        (
            changed("a1", opened={"north": "retailer-1"}, north={"initial_backlog": 3}),
            {},
            "stock_points.north.initial_backlog: it opens, and nobody waits there yet; remove it",
        ),
    ],
)
def test_a_firm_that_cannot_follow_is_refused_in_one_line(firm, asked, reason, tmp_path):
    operation = begun(tmp_path / "f", "a1")
    operation.tick()
    answer = carried(operation, firm, **asked)
    assert (answer.state, reason in answer.message) == ("refused", True), answer.message
    assert "\n" not in answer.message
    assert operation.structure == 0
    operation.tick()
    assert replay(tmp_path / "f")["faults"] == []


def test_where_customers_choose_figures_may_change_and_nothing_else(tmp_path):
    operation = begun(tmp_path / "f", "firm")
    for _ in range(3):
        operation.tick()
    memories = {name: memory.copy() for name, memory in operation.now.memories.items()}
    assert carried(operation, changed("firm", store_1={"holding_cost": 9})).state == "done"
    for name, memory in operation.now.memories.items():
        np.testing.assert_array_equal(memory, memories[name])
    operation.tick()
    plain = yaml.safe_load(load_firm("firm").to_yaml())
    segments = plain["customers"]["store-1"]["segments"]
    segments["others"] = segments.pop("families")
    refused = carried(operation, yaml.safe_dump(plain, sort_keys=False))
    assert "where customers choose, stock points and segments must stay as they are" in refused.message
    assert replay(tmp_path / "f")["faults"] == []


def test_a_shorter_longest_lead_time_keeps_what_is_under_way(tmp_path):
    operation = begun(tmp_path / "f", "a3")
    for _ in range(6):
        operation.tick()
    before = operation.now.moment
    plain = yaml.safe_load(load_firm("a3").to_yaml())
    for edge in plain["supply"]:
        edge["lead_time"] = 1
    assert carried(operation, yaml.safe_dump(plain, sort_keys=False)).state == "done"
    for key, value in before.arrays.items():
        np.testing.assert_array_equal(operation.now.moment.arrays[key], value)
    np.testing.assert_array_equal(operation.now.moment.features, before.features)
    assert before.arrays["pipeline"][1:].any()
    for _ in range(6):
        operation.tick()
    assert not operation.now.moment.arrays["pipeline"][1:].any()
    assert carried(operation, changed("a3")).state == "done"
    operation.tick()
    assert replay(tmp_path / "f")["faults"] == []


def test_who_sees_what_closes_begins_on_the_benchmarks_rule_and_who_does_not_goes_on(tmp_path):
    operation = begun(tmp_path / "f", "a1", "echelon-base-stock")
    for _ in range(4):
        operation.tick()
    refused = carried(operation, MOVED, stock={"retailer-2": "retailer-3"}, like={"retailer-9": "warehouse"})
    said = (
        "--like retailer-9=warehouse: warehouse sees inventory_position/retailer-1, of which retailer-9 has none: leave"
    )
    assert refused.message.startswith(said)
    answer = carried(operation, MOVED, stock={"retailer-2": "retailer-3"}, like={"retailer-9": "retailer-2"})
    assert answer.message.count("begins on") == 2
    assert "; warehouse begins on decomposition-aggregation; retailer-9 begins on echelon-base-stock" in answer.message
    (event,) = [event for event in operation.book.events() if event["kind"] == "change"]
    assert event["details"]["follows"] == {"warehouse": 2, "retailer-9": 1}
    assert operation.posts["warehouse"]["previous"] == [1]
    seen = operation.now.bundles
    assert seen["retailer-9"].arrays["rows"].tolist() == [3]
    assert seen["retailer-3"].arrays["rows"].tolist() == [2], "its own row, where it stands now"
    level = seen["retailer-9"].arrays["level"][0]
    row = operation.tick()["departments"]["retailer-9"]
    assert row["order"]["unit"] == level - row["inventory_position"]["unit"]
    back = operation.carry_out(operation.book.receive(Command("b", "me", "rollback", "warehouse", {}, "")))
    assert back.message == "version 1 of warehouse sees what is not there any more"
    operation.book.close()
    operation = resumed(tmp_path / "f")
    assert operation.now.bundles["retailer-3"].arrays["rows"].tolist() == [2]
    operation.tick()
    assert replay(tmp_path / "f")["faults"] == []


def test_a_book_that_keeps_few_periods_keeps_every_structure_and_closed_points_their_history(tmp_path, capsys):
    operation = begun(tmp_path / "f", "a1")
    for tick in range(330):
        if tick == 40:
            asked(operation, "override", "retailer-2", order={"unit": 7}, periods=100)
        if tick in (50, 250):  # a state is kept in both, before the change
            assert carried(operation, MOVED, stock={"retailer-2": "retailer-1"}).state == "done"
        if tick == 150:
            assert carried(operation, changed("a1"), stock={"retailer-9": "write-off"}).state == "done"
            assert operation.posts["retailer-2"] == {"version": 2, "previous": [], "paused": False, "override": None}
        operation.tick()
        if tick == 200:
            assert replay(tmp_path / "f") == replay(tmp_path / "f") | {"since": 0, "faults": []}
        roll(operation, 100, operation.now.tick if tick > 200 else 0)
    found = replay(tmp_path / "f")
    assert (found["since"] > 200, found["ticks"], found["faults"]) == (True, 330, [])
    assert [each.tick for each in operation.book.structures()] == [0, 50, 150, 250]
    assert run(["history", "f", "--home", str(tmp_path), "--department", "retailer-2", "--json"]) == 0
    assert '"tick": 249' in capsys.readouterr().out
    change = "update structures set details = replace(details, 'retailer-1', 'retailer-3') where number = 3"
    operation.book._file.execute(change)
    assert replay(tmp_path / "f")["faults"][0] == ("tick 250: the change's account of moves is not what became of them")


def test_canaries_end_and_what_is_examined_meanwhile_is_examined_anew(tmp_path, monkeypatch):
    like = "decomposition-aggregation"
    with running(tmp_path / "f", monkeypatch, tick=0.01) as firm:
        there = Here(firm)
        assert there.layout.points[2] == "retailer-2"
        assert there.lines(limit=1).matching == 4
        firm.process.command("c", "me", "swap", "retailer-3", {"policy": like, "canary": 100_000}, "")
        until(lambda: firm.book.names("canary"))
        life = firm.process._life
        examined = life.operation.structure
        bundle = PolicyBundles(load_firm("a1")).policy("retailer-3", like)
        moved = firm.ask("m", "change", firm=MOVED, stock={"retailer-2": "retailer-1"})
        assert moved["state"] == "done", moved
        until(lambda: firm.book.command("c").state == "refused")
        assert firm.book.command("c").message == "the firm was changed before this canary had ended; ask again"
        until(lambda: firm.book.names("canary") == [])
        asked_for = Command("late", "me", "swap", "retailer-3", {"policy": like}, "")
        life.inbox.hand_over(life.book.receive(asked_for), bundle, None, examined)
        until(lambda: firm.book.command("late").state == "done")
        assert life.operation.now.bundles["retailer-3"].arrays["rows"].tolist() == [2]
        assert there.layout.points[2] == "retailer-3"
        until(lambda: there.metrics()["tick"] > moved["tick"])
        assert list(there.metrics()["departments"]) == there.departments
        assert {line["stock_point"] for line in there.lines().lines} == set(there.layout.points)
        there.close()
        firm.goes_on()
        assert firm.deaths == []
    assert replay(tmp_path / "f")["faults"] == []


def test_a_firm_that_is_fed_is_refused_and_waits_on(tmp_path, monkeypatch):
    feed = tmp_path / "feed"
    (feed / "in").mkdir(parents=True)
    with running(tmp_path / "f", monkeypatch, feed=str(feed)) as firm:
        answer = firm.ask("c", "change", firm=changed("a1"))
        assert "a firm that is fed cannot be changed, as its files have the columns of its points" in answer["message"]
        layout, arrivals = firm.workers.world.layout, firm.workers.world.arrivals
        (feed / "in" / "period-0.csv").write_text(zeros(layout, observation_columns(arrivals)))
        until(lambda: firm.ticks() == 1)


def test_trained_departments_go_on_and_lend_their_policy(tmp_path):
    run_of = a_run(tmp_path / "run", "a1")
    operation = begun(tmp_path / "f", str(run_of.path))
    for _ in range(5):
        operation.tick()
    before = {name: bundle.arrays for name, bundle in operation.now.bundles.items()}
    seen = {name: operation.now.moment.features[arrays["rows"]] for name, arrays in before.items()}
    answer = carried(operation, MOVED, stock={"retailer-2": "write-off"}, like={"retailer-9": "retailer-3"})
    assert "; retailer-9 begins on run@1" in answer.message
    after = operation.now.bundles
    for name in ("retailer-1", "retailer-3"):
        assert operation.posts[name]["version"] == 1
        np.testing.assert_array_equal(operation.now.moment.features[after[name].arrays["rows"]], seen[name])
    np.testing.assert_array_equal(after["retailer-9"].arrays["parameters"], before["retailer-3"]["parameters"])
    operation.tick()
    bundle = PolicyBundles(operation.clients.world.firm).policy("retailer-9", "retailer=decomposition-aggregation")
    assert asked(operation, "swap", "retailer-9", bundle).message.startswith("retailer-9 follows version 2 (retailer)")
    operation.tick()
    assert replay(tmp_path / "f")["faults"] == []
