import re

import numpy as np
import pytest
import yaml

from environment import Network, load_firm, parse_firm

BASE = """
name: small
unmet: lost
products: [tea, rice]
stock_points:
  depot: {holding_cost: 0.5, max_order: 100}
  shop: {holding_cost: 1, backorder_cost: 9, max_order: 40, price: 3}
  kiosk: {holding_cost: 1, backorder_cost: 9, max_order: 40, demand: 2}
customers:
  shop:
    slots: 1
    season: {amplitude: 0.3, period: 12}
    segments:
      families: {traffic: 10, persistence: 0.9, volatility: 0.1, preference: {tea: 0.5, rice: -0.5}, uplift: 1.5}
      students: {traffic: 5, preference: {tea: 0}, exposure: {tea: 0.5}}
supply:
  - {from: outside, to: depot, lead_time: 2, initial_pipeline: 3}
  - {from: depot, to: shop}
  - {from: depot, to: kiosk}
"""


def changed(old, new):
    """The small firm with one piece of text changed."""
    assert BASE.count(old) == 1
    return BASE.replace(old, new)


def segment(text):
    """The small firm with other families."""
    changed_text, count = re.subn(r"families: \{.*\}", f"families: {text}", BASE)
    assert count == 1
    return changed_text


PLACE = r"customers\.shop\.segments\.families"
CASES = {
    "customers list": (
        re.sub(r"customers:\n(.*\n)+?supply", "customers: []\nsupply", BASE),
        r"customers must be a mapping",
    ),
    "unknown point": (
        changed("  shop:\n    slots", "  shp:\n    slots"),
        r"customers\.shp: unknown stock point; .*depot, sh",
    ),
    "demand too": (changed("price: 3", "price: 3, demand: 4"), r"customers\.shop: .*shop has a demand as well; remove"),
    "no segments": (changed("    segments:", "    segments: {}\n    other:"), r"customers\.shop\.other is not a known"),
    "segments empty": (re.sub(r"segments:\n(.*\n){2}", "segments: {}\n", BASE), r"shop\.segments must be a mapping"),
    "segments list": (
        re.sub(r"segments:\n(.*\n){2}", "segments: [a]\n", BASE),
        r"shop\.segments must be a mapping.*\['a'\]",
    ),
    "segment name": (
        changed("families:", "a/b:"),
        r"customers\.shop: '/' parts points, segments and products, got 'a/b'",
    ),
    "segment number": (segment("3"), PLACE + r" must be a mapping with the fields traffic, .*got 3"),
    "unknown field": (
        segment("{traffic: 3, uplfit: 2}"),
        PLACE + r"\.uplfit is not a known field: did you mean 'uplift'",
    ),
    "traffic missing": (segment("{uplift: 1}"), PLACE + r"\.traffic is missing: add it"),
    "traffic negative": (
        segment("{traffic: -3}"),
        PLACE + r"\.traffic must be a number above 0 and at most 1000, got -3",
    ),
    "traffic zero": (segment("{traffic: 0}"), PLACE + r"\.traffic must be a number above 0"),
    "traffic nan": (segment("{traffic: .nan}"), PLACE + r"\.traffic must be a number above 0.*got nan"),
    "traffic huge": (segment("{traffic: 1e7}"), PLACE + r"\.traffic must be a number above 0 and at most 1000"),
    "traffic text": (segment("{traffic: '3'}"), PLACE + r"\.traffic must be .*got '3': remove the quotes"),
    "persistence one": (
        segment("{traffic: 3, persistence: 1}"),
        PLACE + r"\.persistence must be a number from 0 to 0\.999",
    ),
    "volatility negative": (segment("{traffic: 3, volatility: -0.1}"), PLACE + r"\.volatility must be a number from 0"),
    "volatility wild": (
        segment("{traffic: 3, persistence: 0.99, volatility: 2}"),
        PLACE + r"\.volatility lets traffic swing up to .* lower volatility, persistence or traffic",
    ),
    "preference list": (
        segment("{traffic: 3, preference: [0.2, -0.2]}"),
        PLACE + r"\.preference must be a number from -20 to 20 or a mapping product -> number, got \[0\.2, -0\.2\]",
    ),
    "preference empty": (segment("{traffic: 3, preference: {}}"), PLACE + r"\.preference must be .*got \{\}"),
    "preference nested": (
        segment("{traffic: 3, preference: {tea: [1]}}"),
        PLACE + r"\.preference\.tea must be a number",
    ),
    "preference huge": (
        segment("{traffic: 3, preference: 21}"),
        PLACE + r"\.preference must be a number from -20 to 20",
    ),
    "preference product": (
        segment("{traffic: 3, preference: {coffee: 1}}"),
        PLACE + r"\.preference\.coffee: unknown product",
    ),
    "uplift negative": (segment("{traffic: 3, uplift: -1}"), PLACE + r"\.uplift must be a number from 0 to 20, got -1"),
    "uplift product": (segment("{traffic: 3, uplift: {coffee: 1}}"), PLACE + r"\.uplift\.coffee: unknown product"),
    "uplift missing": (
        segment("{traffic: 3, uplift: {tea: 1}}"),
        PLACE + r"\.uplift\.rice is missing: give one number",
    ),
    "exposure above one": (
        segment("{traffic: 3, exposure: {tea: 1.5}}"),
        PLACE + r"\.exposure\.tea must be .* from 0 to 1",
    ),
    "exposure beyond slots": (
        segment("{traffic: 3, exposure: {tea: 0.75, rice: 0.5}}"),
        PLACE + r"\.exposure must sum to at most the number of slots \(1\), got 1\.25",
    ),
    "exposure for all beyond slots": (
        segment("{traffic: 3, exposure: 0.6}"),
        PLACE + r"\.exposure must sum .* got 1\.2",
    ),
    "exposure unsold": (
        segment("{traffic: 3, preference: {tea: 1}, exposure: {rice: 1}}"),
        PLACE + r"\.exposure\.rice shows a product without preference",
    ),
    "exposure product": (
        segment("{traffic: 3, exposure: {coffee: 1}}"),
        PLACE + r"\.exposure\.coffee: unknown product",
    ),
    "slots beyond products": (changed("slots: 1", "slots: 3"), r"shop\.slots must be at most .* products \(2\), got 3"),
    "slots negative": (changed("slots: 1", "slots: -1"), r"customers\.shop\.slots must be a whole number from 0"),
    "slots fraction": (changed("slots: 1", "slots: 0.5"), r"customers\.shop\.slots must be a whole number from 0"),
    "season amplitude": (changed("amplitude: 0.3", "amplitude: 1"), r"shop\.season\.amplitude must be a number from 0"),
    "season period": (changed("period: 12", "period: 0"), r"shop\.season\.period must be a number above 1"),
    "salvage negative": (
        changed("price: 3", "salvage_value: -1"),
        r"stock_points\.shop\.salvage_value must be a number",
    ),
    "salvage product": (changed("price: 3", "salvage_value: {tea: 1}"), r"shop\.salvage_value\.rice is missing"),
    "pipeline negative": (
        changed("initial_pipeline: 3", "initial_pipeline: -3"),
        r"supply\[0\]\.initial_pipeline must be",
    ),
    "pipeline product": (
        changed("initial_pipeline: 3", "initial_pipeline: {tea: 3, coffee: 1}"),
        r"supply\[0\]\.initial_pipeline\.coffee: unknown product",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_customers_are_refused_with_one_line(case, tmp_path):
    text, expected = CASES[case]
    path = tmp_path / "firm.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"\S") as caught:
        load_firm(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    assert re.search(expected, message)


def test_a_firm_with_customers_survives_being_written_and_read_again():
    firm = parse_firm(yaml.safe_load(BASE))
    assert parse_firm(yaml.safe_load(firm.to_yaml())) == firm


def test_customers_make_a_stock_point_face_customers_in_the_order_of_the_stock_points():
    assert parse_firm(yaml.safe_load(BASE)).customer_facing == ("shop", "kiosk")


def test_the_long_run_law_of_demand_has_the_mean_of_lognormal_traffic_times_the_choice_probability():
    firm = parse_firm(yaml.safe_load(BASE))
    weight = np.exp([0.5, -0.5])
    families = 10 * np.exp(0.5 * 0.1**2 / (1 - 0.9**2)) * weight / (1 + weight.sum())
    shown = np.exp(0.5)
    students = np.array([5 * shown / (1 + shown), 0.0])  # half exposure, uplift 1, no rice
    assert Network.of(firm).mean_flow()[1] == pytest.approx(families + students, rel=1e-4)
    assert Network.of(firm).mean_flow()[0] == pytest.approx(families + students + 2, rel=1e-4)


def test_the_long_run_law_of_demand_has_the_variance_of_a_poisson_mixture():
    laws = parse_firm(yaml.safe_load(BASE)).customers["shop"].demand_laws(["tea", "rice"])
    spread = 0.1**2 / (1 - 0.9**2)
    weight = np.exp([0.5, -0.5])
    mean = 10 * np.exp(spread / 2) * weight[1] / (1 + weight.sum())  # families alone buy rice
    season = 1 + 0.3**2 / 2  # mean square of the factor
    mass = laws[1].mass()
    units = np.arange(len(mass))
    variance = mass @ (units - mass @ units) ** 2
    assert variance == pytest.approx(mean + mean**2 * (season * np.exp(spread) - 1), rel=1e-4)


@pytest.mark.parametrize("name", ["closing-loop", "closing-loop-loose", "firm"])
def test_the_built_in_firms_with_customers_are_what_they_are_described_as(name):
    firm = load_firm(name)
    stores = 3 if name == "firm" else 1
    assert len(firm.customers) == stores
    assert all(len(clientele.segments) == 2 and clientele.slots == 1 for clientele in firm.customers.values())
    assert (len(firm.products), len(firm.names), firm.unmet) == (3, stores + (name == "firm"), "lost")
