import re

import playwright.sync_api as playwright
import pytest

from tests.coordinator.office.test_api import zipped
from tests.live_faults import a_run

pytestmark = [pytest.mark.ray, pytest.mark.browser]
WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module", autouse=True)
def decided_by_itself(office):
    """Whatever was asked of the office before."""
    for name in office.firm.departments:
        office.firm.resume(name)
        office.firm.override(name, {"unit": 0}, 1)


@pytest.fixture
def page(chromium, office, request):
    width, height = WIDTHS[getattr(request, "param", "desk")]
    context = chromium.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(30_000)
    playwright.expect.set_options(timeout=30_000)
    page, troubles = context.new_page(), []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("request", lambda asked: None if asked.url.startswith(office.url) else troubles.append(asked.url))
    page.goto(f"{office.url}/")
    page.wait_for_selector(".card .why:not(:empty)")
    yield page
    context.close()
    assert [trouble for trouble in troubles if "409" not in trouble and "401" not in trouble] == []


def sign_in(page, token):
    page.click("#sign")
    page.fill("#sign-dialog [name=token]", token)
    page.fill("#sign-dialog [name=who]", "Ada")
    page.click("#sign-dialog button[type=submit]")
    playwright.expect(page.locator("#sign")).to_have_text("Sign out Ada")


def period(page):
    return int(re.search(r"period (\d+)", page.locator("#state").inner_text())[1])


def card(page, name):
    return page.locator(f"article[aria-labelledby='card-{name}']")


def version(office, name):
    return office.firm._book.now()[2]["posts"][name]["version"]


def logged(page, text):
    page.locator("#log tr", has_text=text).first.wait_for()
    return page.locator("#log tr", has_text=text).first.inner_text()


def test_periods_are_seen_to_pass(page, office):
    periods = [period(page)]
    for _ in range(2):
        playwright.expect(page.locator("#state")).not_to_have_text(page.locator("#state").inner_text())
        periods.append(period(page))
    assert periods[0] < periods[1] < periods[2] <= office.firm.committed()
    assert page.locator(".card").count() == len(office.firm.departments)
    assert page.locator("#network .node").count() == len(office.firm.departments)
    assert "under its target of" in " ".join(page.locator(".why").all_inner_texts())
    assert "retailer-3" in page.locator("#chart-stock svg").get_attribute("aria-label")
    page.locator("#network .node[aria-label^='retailer-1']").press("Enter")
    playwright.expect(page.locator("#chart-stock svg")).to_have_attribute("aria-label", re.compile("^retailer-1"))


def test_a_policy_is_swapped_and_rolled_back_and_the_log_says_who(page, office, tmp_path):
    run = a_run(tmp_path / "autumn", "a1")
    name, before = "retailer-2", version(office, "retailer-2")
    sign_in(page, office.token)
    card(page, name).locator("[data-kind=swap]").click()
    page.fill("#swap-dialog [name=policy]", "no-such-policy")
    page.click("#swap-dialog button[type=submit]")
    page.locator("#swap-dialog .error", has_text="policy must be").wait_for()
    assert version(office, name) == before
    autumn = {"name": "Autumn.zip", "mimeType": "application/zip", "buffer": zipped(run.path)}
    page.set_input_files("#swap-dialog [name=upload]", autumn)
    playwright.expect(page.locator("#swap-dialog [name=policy]")).to_have_value(re.compile("^uploads/autumn-"))
    page.fill("#swap-dialog [name=why]", "trained on March")
    page.click("#swap-dialog button[type=submit]")
    card(page, name).locator(".follows", has_text="autumn-").wait_for()
    after = version(office, name)
    assert after > before
    assert f"version {after}" in card(page, name).locator(".follows").inner_text()
    row = logged(page, f"@1, version {after} instead of {before}")
    assert "Ada" in row
    assert "trained on March" in row
    card(page, name).locator("[data-kind=rollback]").click()
    page.click("#confirm-dialog button[type=submit]")
    card(page, name).locator(".follows", has_text=f"version {before}").wait_for()
    assert version(office, name) == before
    assert "Ada" in logged(page, f"version {before} instead of {after}")


def test_a_canary_is_seen_to_play_and_is_withdrawn_by_its_button(page, office):
    name, before = "warehouse", version(office, "warehouse")
    sign_in(page, office.token)
    card(page, name).locator("[data-kind=swap]").click()
    page.fill("#swap-dialog [name=policy]", "decomposition-aggregation")
    page.fill("#swap-dialog [name=canary]", "1000")
    page.select_option("#swap-dialog [name=undecided]", "accept")
    page.click("#swap-dialog button[type=submit]")
    card(page, name).locator(".canary", has_text="of 1,000 periods").wait_for()
    (command,) = (one for one in office.firm._book.pending() if one.kind == "swap")
    assert command.arguments["undecided"] == "accept"
    card(page, name).locator("[data-kind=cancel]").click()
    page.fill("#confirm-dialog [name=why]", "the wrong one")
    page.click("#confirm-dialog button[type=submit]")
    card(page, name).locator(".canary").wait_for(state="hidden")
    withdrawn = office.firm._book.command(command.id)
    assert (withdrawn.state, withdrawn.message) == ("refused", "withdrawn by Ada")
    assert "the wrong one" in logged(page, f"withdrawn: {command.id}")
    assert version(office, name) == before


def test_an_order_is_given_by_hand_and_a_department_is_paused_and_resumed(page, office):
    name = "retailer-1"
    card(page, name).locator("[data-kind=override]").click()
    page.fill("#sign-dialog [name=token]", "x" * 40)  # whoever has not signed in is asked to
    page.fill("#sign-dialog [name=who]", "Ada")
    page.click("#sign-dialog button[type=submit]")
    page.locator("#sign-dialog .error", has_text="show the office's token").wait_for()
    page.fill("#sign-dialog [name=token]", office.token)
    page.click("#sign-dialog button[type=submit]")
    page.fill("#override-dialog [name=order-unit]", "7")
    page.fill("#override-dialog [name=periods]", "30")
    page.fill("#override-dialog [name=why]", "a strike")
    page.click("#override-dialog button[type=submit]")
    page.locator("#notice", has_text="retailer-1 does what was given").wait_for()
    card(page, name).locator(".why", has_text="By hand until period").wait_for()
    assert "a strike" in logged(page, "ordered by hand: 7 units")
    for kind, told in (("pause", "Resume"), ("pause", "Pause")):
        card(page, name).locator(f"[data-kind={kind}]").click()
        page.click("#confirm-dialog button[type=submit]")
        card(page, name).locator("[data-kind=pause]", has_text=told).wait_for()
    logged(page, "decides by itself again")


@pytest.mark.parametrize("page", WIDTHS, indirect=True)
def test_it_can_be_read_without_a_mouse_and_on_a_phone(page):
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    unnamed = """[...document.querySelectorAll('button, input, select, [role=button], [role=img], progress')].filter(
        (each) => !(each.textContent.trim() || each.ariaLabel || each.labels?.length)).map((each) => each.outerHTML)"""
    assert page.evaluate(unnamed) == []
    assert page.evaluate(
        "['header', 'main', 'h1'].every((one) => document.querySelectorAll(`body ${one}`).length === 1)"
    )
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the departments"
    page.focus("#sign")
    page.keyboard.press("Enter")
    page.wait_for_selector("#sign-dialog[open]")
    assert page.evaluate("document.querySelector('#sign-dialog').contains(document.activeElement)")
    page.keyboard.press("Escape")
    page.wait_for_selector("#sign-dialog:not([open])", state="attached")
    assert page.evaluate("document.activeElement.id") == "sign"


def test_a_link_with_the_token_signs_in_and_leaves_no_trace_of_it(page, office):
    page.goto("about:blank")
    page.goto(f"{office.url}/#token={office.token}")
    playwright.expect(page.locator("#sign")).to_contain_text("Sign out")
    assert office.token not in page.evaluate("location.href")
    assert page.evaluate("sessionStorage.getItem('firmwide-token')") == office.token
    assert page.evaluate("localStorage.length") == 0
