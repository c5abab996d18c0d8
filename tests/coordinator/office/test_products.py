"""The office of a firm with many products: lines found, sorted and looked at, orders changed and approved."""

import csv
import json

import httpx
import playwright.sync_api as playwright
import pytest
import yaml

from coordinator.live.create import found, source_of
from coordinator.live.replay import replay
from tests.coordinator.live.test_approvals import period_of
from tests.live_firms import until
from tests.offices import office_of
from tests.small_firms import tree


def told(folder, products):
    """A firm of so many products that says its currency and its unit."""
    firm = yaml.safe_load(tree([f"item {k}" for k in range(products)]).to_yaml())
    (folder / "firm.yaml").write_text(yaml.safe_dump(firm | {"currency": "EUR", "unit": "kg"}, sort_keys=False))
    return str(folder / "firm.yaml")


@pytest.fixture
def waiting(tmp_path, monkeypatch):
    """An office of a fed firm whose first orders wait for approval; of item 2 nothing is there."""
    loaded, policies = source_of(told(tmp_path, 20), None)
    feed = tmp_path / "feed"
    found(tmp_path / "shop", loaded, policies, seed=5, settings={"feed": str(feed), "approve": True})
    (feed / "in").mkdir(parents=True)
    with office_of(tmp_path / "shop", monkeypatch, approve=True, feed=str(feed)) as office:
        short = {"on_hand": 0, "inventory_position": -3, "backlog": 3, "sales": 0}
        arrivals = office.firm.workers.world.arrivals
        text = period_of(office.there.layout, arrivals, 9, {("east", "item 2"): short})
        (feed / "in" / "period-0.csv").write_text(text)
        until(lambda: office.firm.process.state()[1] == "approval of the orders of period 0")
        office.feed = feed
        yield office


@pytest.fixture(scope="module")
def running_on(tmp_path_factory):
    """An office of a simulated firm of 40 products, after 12 periods."""
    folder = tmp_path_factory.mktemp("forty")
    with (
        pytest.MonkeyPatch.context() as patch,
        office_of(folder / "shop", patch, firm=told(folder, 40), ticks=12) as office,
    ):
        until(lambda: office.firm.process.state()[0] == "done")
        with httpx.Client(base_url=f"{office.url}/api", timeout=30) as looking:
            office.get = lambda path, **given: looking.get(path, params=given)
            yield office


def test_lines_are_found_sorted_and_given_a_page_at_a_time(running_on):
    first = running_on.get("lines", limit=7).json()
    assert (first["matching"], len(first["lines"]), first["proposal"], first["tick"]) == (120, 7, None, 11)
    everything = running_on.get("lines", limit=500, sort="name").json()["lines"]
    assert [(line["stock_point"], line["product"]) for line in everything[:2]] == [
        ("depot", "item 0"),
        ("depot", "item 1"),
    ]
    odd = [bool(line["exceptions"]) for line in running_on.get("lines", limit=500).json()["lines"]]
    assert sum(odd) == first["odd"] > 0
    assert odd == sorted(odd, reverse=True)
    by_order = running_on.get("lines", limit=500, sort="order", descending=True).json()["lines"]
    assert [line["order"] for line in by_order] == sorted((line["order"] for line in everything), reverse=True)
    served = [line["fill_rate"] for line in running_on.get("lines", limit=500, sort="service").json()["lines"]]
    assert None not in served[:80]
    assert served[:80] == sorted(served[:80])
    assert served[80:] == [None] * 40  # the depot's, which nobody outside asks
    some = running_on.get("lines", search="WEST item 1", limit=500).json()
    assert {line["stock_point"] for line in some["lines"]} == {"west"}
    assert some["matching"] == 13  # items 1, 10 to 19, 21 and 31
    last = running_on.get("lines", offset=115, limit=50).json()["lines"]
    assert len(last) == 5
    assert len(json.dumps(first)) < 4000
    assert running_on.get("lines", stock_point="north").status_code == 404


def test_lines_are_what_the_firm_has_and_did(running_on):
    figures = running_on.there.metrics()
    rows, served = figures["departments"], {"east": 0.0, "west": 0.0}
    for line in running_on.get("lines", limit=500).json()["lines"]:
        row = rows[line["stock_point"]]
        assert line["on_hand"] == row["on_hand"][line["product"]]
        assert line["backlog"] == row["backlog"][line["product"]]
        assert line["order"] == row["order"][line["product"]]
        if line["fill_rate"] is not None:
            served[line["stock_point"]] += line["fill_rate"] * line["demand"] * 12
    for name, units in served.items():
        assert units == pytest.approx(rows[name]["served"])


def test_figures_are_narrowed_to_one_product_or_their_sum(running_on):
    whole = running_on.there.metrics()["departments"]["east"]["on_hand"]
    one = running_on.get("metrics", product="item 3").json()["departments"]["east"]
    assert one["on_hand"] == {"item 3": whole["item 3"]}
    every = running_on.get("metrics", product="*").json()["departments"]["east"]
    assert every["on_hand"] == {"*": sum(whole.values())}
    (tick,) = running_on.get("ticks", since=11, product="item 3").json()
    assert list(tick["departments"]["west"]["order"]) == ["item 3"]
    (row,) = running_on.get("history", department="west", since=11, product="*").json()
    assert len(row["wished"]) == 1
    assert running_on.get("metrics", product="milk").status_code == 404


def test_a_history_is_told_whole_and_thinned(running_on):
    ticks = running_on.there.ticks(0, 100)
    whole = running_on.get("series", stock_point="east", product="item 3").json()
    assert (whole["step"], whole["tick"]) == (1, list(range(12)))
    assert whole["on_hand"] == [tick["departments"]["east"]["on_hand"]["item 3"] for tick in ticks]
    wished = [row["wished"][3] for row in running_on.there.history("east", 0)]
    position = [tick["departments"]["east"]["inventory_position"]["item 3"] for tick in ticks]
    assert whole["target"] == pytest.approx([at + max(wish, 0) for at, wish in zip(position, wished, strict=True)])
    thin = running_on.get("series", stock_point="east", most=4).json()
    assert (thin["step"], thin["tick"]) == (3, [2, 5, 8, 11])
    money = [tick["money"] for tick in ticks]
    assert thin["money"] == pytest.approx([sum(money[i : i + 3]) / 3 for i in (0, 3, 6, 9)])
    ordered = [sum(tick["departments"]["east"]["order"].values()) for tick in ticks]
    assert thin["order"][0] == pytest.approx(sum(ordered[:3]) / 3)


@pytest.mark.browser
def test_an_exception_is_found_explained_changed_and_approved_and_the_order_leaves(waiting, chromium):
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page, troubles = context.new_page(), []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(f"{waiting.url}/")
    page.locator("#approval-text", has_text="Orders of period 0 wait for approval: 60 lines").wait_for()
    playwright.expect(page.locator("#approval-text")).to_contain_text(", 1 line with an exception.")
    cards = page.locator("dt:text-is('Benchmark') + dd")
    playwright.expect(cards).to_have_count(3)
    assert not any("better" in card for card in cards.all_inner_texts())  # nothing was played
    assert page.locator("#stop").is_hidden()
    first = page.locator("#lines tr").first
    assert first.locator("th").inner_text().startswith("item 2")
    assert first.locator(".because strong").inner_text() == "owed to customers"
    assert "below the target of" in first.locator(".because span").inner_text()
    page.fill("#lines-search", "east item 2")
    playwright.expect(page.locator("#lines-count")).to_have_text("2 lines, 1 with an exception")  # item 12 too
    first.locator("th button").click()
    playwright.expect(page.locator("#product")).to_have_value("item 2")
    proposed = int(first.locator("input").input_value())
    first.locator("input").fill(str(proposed - 1))
    page.fill("#lines-search", "west item 7")
    page.get_by_role("button", name="Reject item 7 of west").click()
    assert list(waiting.feed.glob("out/orders-*")) == []
    page.click("#approve")  # whoever has not signed in is asked to
    page.fill("#sign-dialog [name=token]", waiting.token)
    page.fill("#sign-dialog [name=who]", "Ada")
    page.click("#sign-dialog button[type=submit]")
    page.locator("#confirm-text", has_text=f"east item 2: {proposed - 1}, west item 7: 0").wait_for()
    page.fill("#confirm-dialog [name=why]", "a lorry comes tomorrow")
    page.click("#confirm-dialog button[type=submit]")
    page.locator("#log tr", has_text="a lorry comes tomorrow").wait_for()
    told = page.locator("#log tr", has_text="a lorry").inner_text()
    assert f"east item 2 {proposed - 1} instead of {proposed}" in told
    assert "Ada" in told
    playwright.expect(page.locator("#approval")).to_be_hidden()
    assert page.locator("#stop").is_visible()
    text = page.locator("body").inner_text()
    assert "EUR" in text
    assert " kg" in text
    assert not [word for word in ("money", "units", "0 stand-ins", "firm firm") if word in text]
    context.close()
    assert troubles == []
    until(lambda: (waiting.feed / "out" / "orders-0.csv").exists())
    with (waiting.feed / "out" / "orders-0.csv").open() as file:
        left = {(row["stock_point"], row["product"]): row["quantity"] for row in csv.DictReader(file)}
    assert left["east", "item 2"] == str(proposed - 1)
    assert left["west", "item 7"] == "0"
    assert replay(waiting.folder)["faults"] == []


@pytest.mark.browser
def test_one_product_is_ordered_by_hand_from_its_line_on_a_phone(running_on, chromium):
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{running_on.url}/")
    page.locator("#lines tr").first.wait_for()
    assert page.locator("#lines tr").count() == 8
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("#lines-on")
    playwright.expect(page.locator("#lines-range")).to_have_text("9 to 16 of 120")
    page.goto("about:blank")
    page.goto(f"{running_on.url}/#token={running_on.token}")
    page.fill("#lines-search", "west item 39")
    row = page.locator("#lines tr", has_text="item 39")
    before = row.locator(".orders span").first.inner_text()
    row.get_by_role("button", name="Order item 39 of west").click()
    field = page.locator("#override-dialog [name='order-item 39']")
    playwright.expect(field).to_have_value(before)
    assert "on hand and on order" in page.locator("#override-reason").inner_text()
    field.fill("6")
    page.fill("#override-dialog [name=why]", "a feast")
    page.click("#override-dialog button[type=submit]")
    page.locator("#log tr", has_text="a feast").wait_for()
    context.close()
    (event,) = [event for event in running_on.there.events() if event["kind"] == "override"]
    assert event["details"]["order"] == {"item 39": 6.0}
