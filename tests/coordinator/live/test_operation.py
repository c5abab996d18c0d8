import itertools
import json

import numpy as np
import pytest

from coordinator.live.book import Book, Command, OvertakenError
from coordinator.live.create import found, source_of
from coordinator.live.operation import Operation, Reply
from coordinator.live.replay import replay
from coordinator.live.restarts import Restarts
from coordinator.live.simulated import Simulated
from departments.serving.policy_server import PolicyServer
from environment import load_firm
from tests.small_firms import tree


class Office:
    """Departments and environment in this process; some departments may be silent."""

    def __init__(self, folder, silent=()):
        self.folder, self.desks, self.silent, self.asked = folder, {}, set(silent), []
        self.restarts_seen = Restarts()
        self.world = self.world_of(Book(folder / "book.sqlite", reads=True).latest())

    def world_of(self, number):
        built = Book(self.folder / "book.sqlite", reads=True).structure(number)
        return Simulated(built.firm, 5, built.slots)

    def decide(self, questions):
        replies = {}
        for name, question in questions.items():
            self.asked.append((name, question.observation.shape))
            if name in self.silent:
                continue
            server = self.desks.setdefault(name, PolicyServer())
            answer = server.decide(question.tick, question.bundle.version, question.observation)
            if answer is None:
                server.follow(question.bundle, question.tick, question.memory)
                answer = server.decide(question.tick, question.bundle.version, question.observation)
            replies[name] = Reply(answer, 0.001)
        return replies

    def step(self, tick, arrays, order, exposure):
        return lambda: self.world.step(tick, arrays, order, exposure)

    def noticed(self):
        return self.restarts_seen.noticed()

    def roll_call(self):
        pass

    def cross(self, number, tick, moment, stock):
        return self.world_of(number).cross(self.world, tick, moment.arrays, moment.account, stock)

    def become(self, structure, departments):
        self.world = self.world_of(structure)


def begun(folder, firm="firm", policies=None):
    loaded, policies = source_of(firm, policies)
    found(folder, loaded, policies, seed=5, settings={})
    return resumed(folder)


def resumed(folder, **office):
    return Operation(folder, Book(folder / "book.sqlite"), Office(folder, **office))


def asked(operation, kind, department, bundle=None, **arguments):
    command = operation.book.receive(Command(f"{kind}-{operation.now.tick}", "me", kind, department, arguments, "why"))
    return operation.carry_out(command, bundle)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "f"
    operation = begun(folder)
    ticks = [operation.tick()["departments"] for _ in range(12)]
    return [{n: (d["order"], d["exposure"], d["on_hand"]) for n, d in tick.items()} for tick in ticks]


@pytest.mark.parametrize("where", ["decide", "step", "commit", "after commit"])
def test_a_coordinator_that_dies_anywhere_is_succeeded_without_a_tick_lost_or_doubled(where, undisturbed, tmp_path):
    operation = begun(tmp_path / "f")
    seen = []
    for number in itertools.count():
        dies = number % 3 == 2
        if dies and where != "after commit":
            owner = {"decide": operation.clients, "step": operation.clients, "commit": operation.book}[where]
            setattr(owner, where, _die)
            with pytest.raises(KeyboardInterrupt):
                operation.tick()
        else:
            seen.append(operation.tick()["departments"])
        if dies:
            operation.book.close()
            operation = resumed(tmp_path / "f")
        if len(seen) == 12:
            break
    assert [{n: (d["order"], d["exposure"], d["on_hand"]) for n, d in tick.items()} for tick in seen] == undisturbed
    found = replay(tmp_path / "f")
    assert (found["ticks"], found["decisions"], found["faults"]) == (12, 60, [])


def _die(*_args, **_more):
    raise KeyboardInterrupt


def test_a_coordinator_that_was_replaced_cannot_commit(tmp_path):
    first = begun(tmp_path / "f", "a1")
    second = resumed(tmp_path / "f")
    with pytest.raises(OvertakenError, match="another coordinator"):
        first.tick()
    assert second.tick()["tick"] == 0


def test_each_department_is_sent_its_own_rows_and_nothing_else(tmp_path):
    operation = begun(tmp_path / "f", "a1")
    operation.tick()
    assert operation.clients.asked == [(name, (1, 1)) for name in operation.layout.points]  # its own position


def test_a_silent_department_is_replaced_by_its_benchmark_for_that_tick_and_counted(tmp_path):
    begun(tmp_path / "f", "a1", "base-stock:warehouse=60,retailer-1=10,retailer-2=10,retailer-3=10").book.close()
    operation = resumed(tmp_path / "f", silent=["retailer-2"])
    tick = operation.tick()
    benchmark = load_firm("a1")
    from departments.rules.ordering import baseline_levels

    level = baseline_levels(benchmark)[benchmark.names.index("retailer-2"), 0]
    row = tick["departments"]["retailer-2"]
    assert row["mode"] == "fallback"
    assert row["order"] == {"unit": level - row["inventory_position"]["unit"]}
    assert operation.totals["departments"]["retailer-2"]["fallbacks"] == 1
    assert [event["kind"] for event in operation.book.events()] == ["fallback"]
    operation.clients.silent.clear()
    assert operation.tick()["departments"]["retailer-2"]["mode"] == "policy"


def test_an_override_is_ordered_for_its_periods_then_the_policy_again(tmp_path):
    operation = begun(tmp_path / "f", "a1")
    answer = asked(operation, "override", "retailer-2", order={"unit": 7}, periods=2)
    assert (answer.state, answer.tick) == ("done", 0)
    rows = [operation.tick()["departments"]["retailer-2"] for _ in range(3)]
    assert [row["mode"] for row in rows] == ["override", "override", "policy"]
    assert rows[1]["order"] == {"unit": 7}


def test_a_recommendation_given_by_hand_is_what_customers_are_shown_for_its_periods(tmp_path):
    operation = begun(tmp_path / "f", "firm")
    given = {
        "store-1/families/p2": 0.75,
        "store-1/families/p1": 0.25,
        "store-3/students/p3": 1,
        "store-2/families/p1": 0,
    }
    answer = asked(operation, "override", "recommendation", exposure=given, periods=2)
    assert (answer.state, answer.tick) == ("done", 0)
    rows = [operation.tick()["departments"]["recommendation"] for _ in range(3)]
    assert [row["mode"] for row in rows] == ["override", "override", "policy"]
    for row in rows[:2]:
        assert row["exposure"] == {key: share for key, share in given.items() if share}
        assert row["order"] == {}
    assert replay(tmp_path / "f")["faults"] == [], (
        "and demand followed it: the same chance with it gives the same stock"
    )
    told = operation.now.moment.arrays["told_exposure"]
    assert told.shape == (6, 3, 1)
    nothing = asked(operation, "override", "recommendation", exposure={}, periods=1)
    assert nothing.state == "done"
    assert operation.tick()["departments"]["recommendation"]["exposure"] == {}
    assert not operation.now.moment.arrays["told_exposure"].any()


@pytest.mark.parametrize(
    ("department", "arguments", "reason"),
    [
        ("recommendation", {"order": {"p1": 1, "p2": 0, "p3": 0}}, "orders nothing: give --exposure"),
        ("recommendation", {"exposure": {"store-1/families/p9": 1}}, "--exposure must be of store-1/families/p1"),
        ("recommendation", {"exposure": {"store-1/families/p1": 1.5}}, "a share from 0 to 1, got 1.5"),
        ("recommendation", {"exposure": {"store-1/families/p1": float("nan")}}, "a share from 0 to 1"),
        (
            "recommendation",
            {"exposure": {"store-1/families/p1": 0.75, "store-1/families/p2": 0.5}},
            "store-1/families must sum to at most its 1 slots, got 1.25",
        ),
        ("store-1", {"exposure": {"store-1/families/p1": 1}}, "recommends nothing: give --order"),
    ],
)
def test_a_recommendation_that_cannot_be_shown_is_refused_in_one_line(department, arguments, reason, tmp_path):
    operation = begun(tmp_path / "f", "firm")
    answer = asked(operation, "override", department, periods=1, **arguments)
    assert answer.state == "refused"
    assert reason in answer.message
    assert operation.posts[department]["override"] is None


@pytest.mark.parametrize(
    ("kind", "department", "arguments", "reason"),
    [
        ("override", "retailer-2", {"order": {"unit": 51}, "periods": 1}, "must be a whole number from 0 to 50"),
        ("override", "retailer-2", {"order": {"unit": 1.5}, "periods": 1}, "must be a whole number"),
        ("override", "retailer-2", {"order": {}, "periods": 1}, "a quantity for unit"),
        ("override", "retailer-2", {"order": {"unit": 5}, "periods": 0}, "--periods must be"),
        ("pause", "retailer-9", {}, "DEPARTMENT must be one of warehouse"),
        ("rollback", "retailer-2", {}, "no way back"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_in_one_line_and_changes_nothing(
    kind, department, arguments, reason, tmp_path
):
    operation = begun(tmp_path / "f", "a1")
    before = operation.book.now()[2]["posts"]
    answer = asked(operation, kind, department, **arguments)
    assert answer.state == "refused"
    assert reason in answer.message
    assert "\n" not in answer.message
    assert operation.book.now()[2]["posts"] == before
    assert operation.book.events()[-1]["kind"] == "refusal"


def test_a_swap_is_in_force_with_the_next_tick_survives_a_successor_and_can_be_rolled_back(tmp_path):
    from coordinator.live.policy_bundles import PolicyBundles

    operation = begun(tmp_path / "f", "a1")
    operation.tick()
    bundle = PolicyBundles(load_firm("a1")).policy("retailer-2", "base-stock:retailer-2=11")
    answer = asked(operation, "swap", "retailer-2", bundle)
    assert (answer.state, answer.tick) == ("done", 1)
    row = operation.tick()["departments"]
    assert row["retailer-2"]["version"] == 2
    assert row["retailer-1"]["version"] == 1
    assert row["retailer-2"]["order"]["unit"] == max(11 - row["retailer-2"]["inventory_position"]["unit"], 0)
    operation.book.close()
    operation = resumed(tmp_path / "f")
    assert operation.tick()["departments"]["retailer-2"]["version"] == 2
    assert asked(operation, "rollback", "retailer-2").message.startswith("retailer-2 follows version 1")
    assert operation.tick()["departments"]["retailer-2"]["version"] == 1


def test_a_command_of_the_same_id_is_kept_once_with_its_answer(tmp_path):
    operation = begun(tmp_path / "f", "a1")
    command = Command("x", "me", "pause", "retailer-1", {}, "")
    answer = operation.carry_out(operation.book.receive(command))
    again = operation.book.receive(command)
    assert again.answer() == answer.answer()
    assert operation.book.pending() == []


def test_a_book_that_was_tampered_with_is_found_out(tmp_path):
    operation = begun(tmp_path / "f", "a1")
    for _ in range(3):
        operation.tick()
    assert replay(tmp_path / "f")["faults"] == []
    change = 'update ticks set record = replace(record, \'"order": {"unit": \', \'"order": {"unit": 1\') where tick = 1'
    operation.book._file.execute(change)
    assert replay(tmp_path / "f")["faults"]


@pytest.mark.parametrize(
    "change",
    [
        "update decisions set version = 1 where department = 'retailer-2' and tick = 4",
        "update decisions set mode = 'policy' where department = 'retailer-1' and tick = 3",
        "update decisions set mode = 'override' where department = 'retailer-1' and tick = 4",
        "update decisions set decision = '{\"unit\": 8}' where department = 'retailer-1' and tick = 2",
        "delete from events where kind = 'swap'",
    ],
)
def test_a_replay_finds_a_swap_or_an_override_that_was_not_wholly_in_effect(change, tmp_path):
    from coordinator.live.policy_bundles import PolicyBundles

    operation = begun(tmp_path / "f", "a1")
    for tick in range(6):
        if tick == 2:
            asked(operation, "override", "retailer-1", order={"unit": 7}, periods=2)
        if tick == 3:
            asked(
                operation, "swap", "retailer-2", PolicyBundles(load_firm("a1")).rule("retailer-2", "echelon-base-stock")
            )
        operation.tick()
    assert replay(tmp_path / "f")["faults"] == []
    operation.book._file.execute(change)
    assert replay(tmp_path / "f")["faults"]


def test_an_override_of_one_product_leaves_the_others_to_the_department(tmp_path):
    (tmp_path / "firm.yaml").write_text(tree(("tea", "rice")).to_yaml())
    alone, operation = (begun(tmp_path / name, str(tmp_path / "firm.yaml")) for name in ("alone", "given"))
    for each in (alone, operation):
        for _ in range(3):
            each.tick()
    assert asked(operation, "override", "east", order={"rice": 13}, periods=2).state == "done"
    given, itself = operation.tick()["departments"]["east"], alone.tick()["departments"]["east"]
    assert given["mode"] == "override"
    assert given["order"] == itself["order"] | {"rice": 13}
    assert itself["order"]["rice"] != 13
    operation.tick()
    assert operation.tick()["departments"]["east"]["mode"] == "policy"
    assert asked(operation, "override", "east", order={"milk": 1}, periods=2).state == "refused"
    assert replay(tmp_path / "given")["faults"] == []
    change = "update decisions set decision = '{\"tea\":3.0,\"rice\":12.0}' where department = 'east' and tick = 3"
    operation.book._file.execute(change)
    assert any("its override says" in fault for fault in replay(tmp_path / "given")["faults"])


def test_a_desk_asked_twice_for_a_tick_answers_twice_the_same(tmp_path):
    operation = begun(tmp_path / "f")
    now = operation.now
    bundle = now.bundles["store-1"]
    server, seen = PolicyServer(), now.moment.features[bundle.arrays["rows"]]
    server.follow(bundle, 0, now.memories["store-1"])
    first = server.decide(0, 1, seen)
    np.testing.assert_array_equal(server.decide(0, 1, seen).memory, first.memory)
    assert server.decide(1, 1, seen) is not None
    assert server.decide(1, 2, seen) is None
    assert server.decide(7, 1, seen) is None


def test_orders_keep_to_packs_reviews_and_storage_whoever_gives_them(tmp_path):
    shop = {"holding_cost": 1, "backorder_cost": 9, "max_order": 60, "demand": {"law": "poisson", "mean": 6}}
    limits = {"order_multiple": 6, "min_order": 12, "review_period": 2, "capacity": 40, "initial_on_hand": 20}
    firm = tmp_path / "shop.yaml"
    firm.write_text(json.dumps({"name": "shop", "stock_points": {"shop": shop | limits}}))
    operation = begun(tmp_path / "f", str(firm))
    asked(operation, "override", "shop", order={"unit": 7}, periods=3)
    given = [operation.tick()["departments"]["shop"] for _ in range(3)]
    assert [tick["order"]["unit"] for tick in given] == [12, 0, 12]
    asked(operation, "override", "shop", order={"unit": 60}, periods=2)
    cut = [operation.tick()["departments"]["shop"] for _ in range(2)]
    room = 40 - cut[1]["inventory_position"]["unit"]
    assert [tick["order"]["unit"] for tick in cut] == [0, room // 6 * 6]
    free = [operation.tick()["departments"]["shop"]["order"]["unit"] for _ in range(20)]
    assert free[::2] == [0] * 10
    assert any(free)
    assert all(order % 6 == 0 and (order == 0 or order >= 12) for order in free)
    told = [event for event in operation.book.events(0, 100) if event["kind"] == "clipped"]
    assert told[0]["details"] == {"wished": {"unit": 7}, "accepted": {"unit": 12}}
    assert [event["why"] for event in told[:2]] == ["the firm takes 12 of 7", "the firm takes 0 of 7"]
    operation.book.close()
    assert replay(tmp_path / "f")["faults"] == []
