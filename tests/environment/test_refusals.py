"""Malformed firm files: each is refused with one line that names the field, what is allowed or came, and the cure."""

import re

import pytest
import yaml

from environment import load_firm, parse_firm

BASE = """
name: small
stock_points:
  depot: {holding_cost: 0.5, max_order: 100}
  shop: {holding_cost: 1, backorder_cost: 9, max_order: 40, demand: {law: poisson, mean: 10}}
supply:
  - {from: outside, to: depot, lead_time: 2}
  - {from: depot, to: shop, lead_time: 1}
"""


def point(field, value="{law: poisson, mean: 10}"):
    """The small firm with one field of the shop changed."""
    changed, count = re.subn(rf"(shop: .*\b){field}: (\{{[^}}]*\}}|[^,}}]+)", rf"\g<1>{field}: {value}", BASE)
    assert count == 1
    return changed


def more(field, value):
    """The small firm with one more field of the shop."""
    return BASE.replace("{holding_cost: 1,", f"{{holding_cost: 1, {field}: {value},")


def demand(law):
    return point("demand", law)


def lead_time(value):
    return BASE.replace("to: depot, lead_time: 2", f"to: depot, lead_time: {value}")


def edge(text):
    return BASE + f"  - {text}\n"


def top(text):
    return BASE + text + "\n"


TWO = BASE.replace("name: small", "name: small\nproducts: [tea, rice]")
CASES = {
    # limits of orders
    "minimum below nothing": (
        more("min_order", "-1"),
        r"shop.min_order must be a whole number from 0 to 1000000, got -1",
    ),
    "no packs": (more("order_multiple", "0"), r"shop.order_multiple must be a whole number from 1 to 1000000, got 0"),
    "large packs": (more("order_multiple", "41"), r"shop.order_multiple must be at most max_order \(40\), got 41"),
    "minimum above": (
        more("min_order", "41"),
        r"shop.min_order is 41 in whole packs of 1, above max_order \(40\): raise",
    ),
    "minimum in packs": (
        more("min_order", "37, order_multiple: 6"),
        r"min_order is 42 in whole packs of 6, above max_",
    ),
    "never reviewed": (more("review_period", "0"), r"shop.review_period must be a whole number from 1 to 1000, got 0"),
    "offset": (more("review_offset", "7, review_period: 7"), r"review_offset must be below review_period \(7\), got 7"),
    "day outside": (more("review_days", "[0, 7]"), r"review_days.days must be from 0 to 6 in a cycle of 7, got 7"),
    "no day": (more("review_days", "[]"), r"review_days.days must hold at least one day, got an empty list"),
    "day by name": (more("review_days", "[monday]"), r"review_days.days must be whole numbers.*got 'monday'"),
    "day twice": (more("review_days", "[1, 1]"), r"review_days.days must be different, got \[1, 1\]"),
    "reviewed twice": (more("review_days", "[1], review_period: 2"), r"review_days and review_period say the same"),
    "no room": (more("capacity", "0"), r"shop.capacity must be a whole number from 1 to 1000000000, got 0"),
    "room for less": (
        more("capacity", "5, order_multiple: 6"),
        r"capacity \(5\) is below the smallest order \(6\): raise",
    ),
    "small truck": (
        lead_time("2, capacity: 5").replace("max_order: 100", "max_order: 100, min_order: 9"),
        r"\[0\].capacity",
    ),
    "cost of one of two": (
        edge("{from: outside, to: shop, fixed_order_cost: 9}"),
        r"\[2\].fixed_order_cost: shop has sev",
    ),
    "truck of one of two": (
        edge("{from: outside, to: shop, capacity: 9}"),
        r"\[2\].capacity: shop has several suppliers",
    ),
    # the file as a whole
    "empty file": ("", r"must be a mapping with name, stock_points and supply, got an empty file"),
    "list": ("- name: small", r"must be a mapping with name.*got list"),
    "text": ("just words", r"must be a mapping with name.*got str"),
    "syntax": ("name: [small", r"is not YAML: .*line 1"),
    "tab": ("name: small\n\tstock_points: {}", r"is not YAML: .*'\\t'"),
    "two documents": (BASE + "---\nname: other", r"is not YAML: expected a single document"),
    "python object": ("name: !!python/object/apply:os.getcwd []", r"is not YAML: could not determine a constructor"),
    "key twice": (top("name: other"), r"'name' is given twice in the mapping that starts on line 2; keep one"),
    "stock point twice": (
        BASE.replace("  shop:", "  depot: {holding_cost: 1, max_order: 1}\n  shop:"),
        r"'depot' is given twice in the mapping that starts on line 4; keep one",
    ),
    "list as key": ("? [a, b]\n: 1", r"is not YAML: .*unhashable key"),
    "deep nesting": ("[" * 1500, r"nested too deeply"),
    "mapping within itself": ("name: small\nstock_points: &all {shop: *all}", r"stock_points\.shop"),
    "unknown key": (top("curency: euro"), r"^\S+: curency is not a known field: .*known are name"),
    "misspelt key": (top("suply: []"), r"suply is not a known field: did you mean 'supply'\?"),
    "number as key": (top("1: 2"), r"^\S+: 1 is not a known field"),
    "no name": (BASE.replace("name: small", ""), r"name is missing: add it"),
    "number as name": (BASE.replace("small", "12"), r"name must be text, got 12: put it in quotes"),
    "date as name": (BASE.replace("small", "2024-05-01"), r"name must be text, got datetime.date.*: put it in quotes"),
    "nothing as name": (BASE.replace("small", ""), r"name must be text, got nothing"),
    "upper-case name": (
        BASE.replace("small", "Small"),
        r"name: the firm's own name has at most 100 lower-case.*got 'Small'",
    ),
    "name with a line break": (BASE.replace("small", '"a\\nb"'), r"name: the firm's own name has .*got 'a\\nb'"),
    "description list": (top("description: [a]"), r"description must be text, got \['a'\]"),
    "currency number": (top("currency: 3"), r"currency must be 1 to 12 characters.* such as EUR, got 3"),
    "currency long": (top("currency: pounds sterling"), r"currency must be 1 to 12 characters"),
    "currency empty": (top('currency: ""'), r"currency must be 1 to 12 characters.*got ''"),
    "unit digits": (top('unit: "3 kg"'), r"unit must be 1 to 12 characters, no digit or blank first, such as kg"),
    "unit lines": (top('unit: "a\\nb"'), r"unit must be 1 to 12 characters"),
    "unmet": (top("unmet: maybe"), r"unmet must be backorder or lost, got 'maybe'"),
    "unmet truth value": (top("unmet: yes"), r"unmet must be backorder or lost, got True"),
    "supplier choice": (
        top("supplier_choice: nearest"),
        r"supplier_choice must be one of random, preferred, .*got 'nearest'",
    ),
    "cost spread": (top("cost_spread: 1"), r"cost_spread must be a number from 0 to 0.999, got 1"),
    # periods
    "periods number": (
        top("periods: 75"),
        r"periods must be a mapping with the fields train, evaluate, warm_up, got 75",
    ),
    "periods unknown": (top("periods: {test: 3}"), r"periods\.test is not a known field.*known are train, evaluate"),
    "warm up too long": (top("periods: {evaluate: 20}"), r"periods\.warm_up must be below evaluate \(20\), got 25"),
    "warm up truth value": (top("periods: {warm_up: true}"), r"periods\.warm_up must be a whole number.*got True"),
    "train text": (top('periods: {train: "128"}'), r"periods\.train must be a whole.*got '128': remove the quotes"),
    "train fraction": (top("periods: {train: 12.5}"), r"periods\.train must be a whole number from 2 .*got 12\.5"),
    "evaluate one": (top("periods: {evaluate: 1}"), r"periods\.evaluate must be a whole number from 2 .*got 1"),
    # products
    "products text": (top("products: tea"), r"products must be a list of names, got 'tea'"),
    "products empty": (top("products: []"), r"products must hold at least one name.*: remove it"),
    "product twice": (top("products: [tea, tea]"), r"products must be different names, got 'tea' twice: remove one"),
    "product number": (top("products: [1, 2]"), r"products\[0\] must be text, got 1: put it in quotes"),
    "product name": (top("products: ['tea ']"), r"products: names begin and end with a printed letter.*got 'tea '"),
    "product law": (top("products: [law]"), r"products: 'law' is a key of laws; choose another name"),
    "unknown product": (
        more("price", "{coffee: 2}").replace("name: small", "name: small\nproducts: [tea, rice]"),
        r"stock_points\.shop\.price\.coffee: unknown product; products are tea, rice",
    ),
    "product left out": (
        TWO.replace("backorder_cost: 9", "backorder_cost: {tea: 9}"),
        r"stock_points\.shop\.backorder_cost\.rice is missing: give one number for all products or one for each",
    ),
    "bad amount of a product": (
        TWO.replace("backorder_cost: 9", "backorder_cost: {tea: 9, rice: -1}"),
        r"stock_points\.shop\.backorder_cost\.rice must be a number from 0 to 1000000000, got -1",
    ),
    "bad law of a product": (
        TWO.replace("{law: poisson, mean: 10}", "{tea: 3, rice: {law: poisson, mean: -1}}"),
        r"stock_points\.shop\.demand\.rice\.mean must be a number above 0",
    ),
    "lead time of a product": (
        TWO.replace("lead_time: 2", "lead_time: {tea: 1}"),
        r"supply\[0\]\.lead_time\.rice is missing",
    ),
    # stock points
    "no stock points": ("name: small", r"stock_points is missing: add it"),
    "stock points empty": ("name: small\nstock_points: {}", r"stock_points must be a mapping .* at least one entry"),
    "stock points list": ("name: small\nstock_points: [shop]", r"stock_points must be a mapping name -> stock point"),
    "stock points nothing": ("name: small\nstock_points:", r"stock_points must be a mapping .*got nothing"),
    "stock point nothing": (
        "name: small\nstock_points: {shop: }",
        r"stock_points\.shop must be a mapping with the fields holding_cost.*got nothing",
    ),
    "stock point number": (
        "name: small\nstock_points: {1: {holding_cost: 1, max_order: 2, demand: 3}}",
        r"stock_points: names must be text, got 1: put it in quotes",
    ),
    "stock point no": (
        "name: small\nstock_points: {no: {holding_cost: 1, max_order: 2, demand: 3}}",
        r"stock_points: names must be text, got False: put it in quotes",
    ),
    "stock point space": (
        BASE.replace("shop", "' my shop'"),
        r"stock_points: names begin and end with a printed letter.*got ' my shop'",
    ),
    "stock point outside": (
        BASE.replace("depot", "outside"),
        r"stock_points: 'outside' is the external supplier; choose another name",
    ),
    "holding cost missing": (
        BASE.replace("holding_cost: 1, ", ""),
        r"stock_points\.shop\.holding_cost is missing: add it",
    ),
    "holding cost negative": (point("holding_cost", "-1"), r"shop\.holding_cost must be a number from 0 .*got -1"),
    "holding cost infinite": (point("holding_cost", ".inf"), r"shop\.holding_cost must be a number from 0 .*got inf"),
    "holding cost nan": (point("holding_cost", ".nan"), r"shop\.holding_cost must be a number from 0 .*got nan"),
    "holding cost text": (point("holding_cost", "cheap"), r"shop\.holding_cost must be a number.*got 'cheap'"),
    "holding cost quoted": (point("holding_cost", "'1.5'"), r"holding_cost must be a number.*'1.5': remove the quotes"),
    "holding cost truth value": (point("holding_cost", "true"), r"shop\.holding_cost must be a number.*got True"),
    "holding cost nothing": (point("holding_cost", "null"), r"shop\.holding_cost must be a number.*got nothing"),
    "holding cost list": (point("holding_cost", "[1]"), r"shop\.holding_cost must be a number.*got \[1\]"),
    "holding cost huge": (point("holding_cost", "1e300"), r"shop\.holding_cost must be a number from 0 to 1000000000"),
    "backorder cost date": (
        point("backorder_cost", "2024-01-01"),
        r"shop\.backorder_cost must be a number.*got datetime",
    ),
    "max order zero": (point("max_order", "0"), r"shop\.max_order must be a whole number from 1 to 1000000, got 0"),
    "max order fraction": (point("max_order", "2.5"), r"shop\.max_order must be a whole number from 1 .*got 2\.5"),
    "max order huge": (
        point("max_order", "1" + "0" * 100),
        r"shop\.max_order must be a whole number from 1 to 1000000",
    ),
    "max order truth value": (point("max_order", "yes"), r"shop\.max_order must be a whole number.*got True"),
    "fixed order cost": (more("fixed_order_cost", "-3"), r"shop\.fixed_order_cost must be a number from 0 .*got -3"),
    "unit cost": (more("unit_cost", "{}"), r"shop\.unit_cost\.unit is missing: give one number"),
    "initial on hand": (more("initial_on_hand", "3.5"), r"shop\.initial_on_hand must be a whole number.*got 3\.5"),
    "misspelt cost": (more("hold_cost", "1"), r"stock_points\.shop\.hold_cost is not.*did you mean 'holding_cost'\?"),
    # demand and its laws
    "no demand at all": (
        "name: small\nstock_points: {shop: {holding_cost: 1, max_order: 9}}",
        r"stock_points: no stock point has a demand; give at least one",
    ),
    "demand text": (demand("lots"), r"shop\.demand must be a whole number or a law such as \{law: .*got 'lots'"),
    "demand negative": (demand("-3"), r"shop\.demand must be a whole number from 0 to 1000000 or a law, got -3"),
    "demand fraction": (demand("2.5"), r"shop\.demand must be a whole number .*got 2\.5"),
    "demand nan": (demand(".nan"), r"shop\.demand must be a whole number .*got nan"),
    "demand truth value": (demand("true"), r"shop\.demand must be a whole number or a law.*got True"),
    "demand empty": (demand("{}"), r"shop\.demand must be a law or a mapping product -> law, got an empty mapping"),
    "unknown law": (demand("{law: zipf, mean: 3}"), r"shop\.demand\.law must be one of fixed, uniform.*got 'zipf'"),
    "law list": (demand("{law: [poisson]}"), r"shop\.demand\.law must be one of .*got \['poisson'\]"),
    "law nothing": (demand("{law: }"), r"shop\.demand\.law must be one of .*got nothing"),
    "law parameter missing": (demand("{law: poisson}"), r"shop\.demand\.mean is missing: add it"),
    "law parameter unknown": (
        demand("{law: poisson, mean: 3, sd: 1}"),
        r"shop\.demand\.sd is not.*known are law, mean",
    ),
    "mean zero": (demand("{law: poisson, mean: 0}"), r"demand\.mean must be a number above 0 .*got 0"),
    "mean text": (demand("{law: poisson, mean: ten}"), r"demand\.mean must be a number above 0 .*got 'ten'"),
    "mean truth value": (demand("{law: poisson, mean: yes}"), r"demand\.mean must be a number.*got True"),
    "mean huge": (demand("{law: poisson, mean: 1e9}"), r"demand\.mean must be a number above 0 and at most 10000"),
    "uniform upside down": (
        demand("{law: uniform, low: 5, high: 2}"),
        r"demand\.high must be at least low \(5\), got 2",
    ),
    "uniform fraction": (demand("{law: uniform, low: 0.5, high: 2}"), r"demand\.low must be a whole number .*got 0\.5"),
    "poisson uniform low": (
        demand("{law: poisson_uniform, low: -1, high: 2}"),
        r"demand\.low must be a whole .*got -1",
    ),
    "poisson uniform high": (
        demand("{law: poisson_uniform, low: 1, high: 20000}"),
        r"demand\.high must be a whole number from 0 to 10000, got 20000",
    ),
    "negative binomial cv": (
        demand("{law: negative_binomial, mean: 4, cv: 0.5}"),
        r"demand\.cv must be above 1/sqrt\(mean\) = 0\.5 .*got 0\.5; use poisson",
    ),
    "negative binomial tail": (
        demand("{law: negative_binomial, mean: 10000, cv: 9}"),
        r"demand reaches above 1000000 units with mean 10000 and cv 9: lower one",
    ),
    "gamma mean": (
        demand("{law: gamma, mean: 20, cv: 1, low: 1, high: 15}"),
        r"demand\.mean must lie between low \(1\) and high \(15\), got 20",
    ),
    "gamma out of reach": (
        demand("{law: gamma, mean: 14.9, cv: 10, low: 1, high: 15}"),
        r"demand\.mean 14\.9 cannot be reached with cv 10 from 1 to 15: lower cv or widen",
    ),
    "mass sum": (
        demand("{law: mass, values: [1, 2], probabilities: [0.5, 0.4]}"),
        r"demand\.probabilities must sum to 1, got a sum of 0\.9",
    ),
    "mass lengths": (
        demand("{law: mass, values: [1, 2], probabilities: [1]}"),
        r"demand\.probabilities must be as many as values \(2\), got 1",
    ),
    "mass twice": (
        demand("{law: mass, values: [2, 2], probabilities: [0.5, 0.5]}"),
        r"demand\.values must differ from each other, got 2 twice: add their probabilities up",
    ),
    "mass empty": (
        demand("{law: mass, values: [], probabilities: []}"),
        r"demand\.values must hold at least one value",
    ),
    "mass text": (
        demand("{law: mass, values: 3, probabilities: [1]}"),
        r"demand\.values must be a list of whole numbers",
    ),
    "mass negative": (
        demand("{law: mass, values: [1, 2], probabilities: [1.5, -0.5]}"),
        r"demand\.probabilities\[0\] must be a number from 0 to 1, got 1\.5",
    ),
    "mass value": (
        demand("{law: mass, values: [1, true], probabilities: [0.5, 0.5]}"),
        r"demand\.values\[1\] must be a whole number .*got True",
    ),
    # supply
    "supply nothing": (BASE.split("supply:")[0] + "supply:", r"supply must be a list of edges such as .*got nothing"),
    "supply mapping": (BASE.split("supply:")[0] + "supply: {depot: shop}", r"supply must be a list of edges.*got \{"),
    "edge text": (
        edge("depot -> shop"),
        r"supply\[2\] must be a mapping with the fields from, to, lead_time, .*got 'depot",
    ),
    "priority outside": (
        BASE.replace("lead_time: 2", "lead_time: 2, priority: 1"),
        r"supply\[0\]\.priority is a customer's at its supplier, and outside never runs out",
    ),
    "allocation without customers": (more("allocation", "position"), r"allocation: no stock point buys here"),
    "allocation without priorities": (
        BASE.replace("depot: {", "depot: {allocation: priority, "),
        r"depot\.allocation needs a priority on supply edges from here, such as priority: 1",
    ),
    "edge without from": (edge("{to: shop}"), r"supply\[2\]\.from is missing: add it"),
    "edge unknown field": (edge("{from: depot, to: shop, cost: 1}"), r"supply\[2\]\.cost is not a known field"),
    "edge number": (edge("{from: 1, to: shop}"), r"supply\[2\]\.from must be text, got 1: put it in quotes"),
    "unknown source": (
        edge("{from: mill, to: shop}"),
        r"supply\[2\]\.from must be 'outside' or one of depot.*got unknown",
    ),
    "unknown target": (
        edge("{from: depot, to: kiosk}"),
        r"supply\[2\]\.to must be one of depot, shop, got unknown 'kiosk'",
    ),
    "to outside": (
        edge("{from: shop, to: outside}"),
        r"supply\[2\]\.to must be one of .*'outside', which only supplies",
    ),
    "edge twice": (
        edge("{from: depot, to: shop}"),
        r"supply\[2\]: depot -> shop is there already; remove the duplicate",
    ),
    "self loop": (edge("{from: shop, to: shop}"), r"supply has a cycle: shop -> shop; remove one"),
    "cycle": (
        edge("{from: shop, to: depot}"),
        r"cycle: depot -> shop -> depot; remove one of these edges: points that help each other \(transship",
    ),
    "no customers": (
        BASE.replace("  - {from: depot, to: shop, lead_time: 1}\n", ""),
        r"stock_points\.depot reaches no customer: give it a demand or a supply edge",
    ),
    "lead time long in a law": (
        lead_time("{law: uniform, low: 1, high: 2000}"),
        r"high must be .* from 0 to 1000, got",
    ),
    "octal number": (point("max_order", "0100"), r"max_order must be .* got '0100': remove the zeros in front"),
    "number by sixties": (point("max_order", "1:30"), r"max_order must be a whole number .* got '1:30'"),
    "name twice in a line": (BASE.replace("depot:", "no:"), r"yaml: stock_points: names must be text, got False"),
    "opposite word": (
        more("min_capacity", "1"),
        r"min_capacity is not a known field: remove it; known are holding_cost",
    ),
    "words left out": (more("fixed_cost", "1"), r"fixed_cost is not .* did you mean 'fixed_order_cost'\?"),
    "name too long": (
        BASE.replace("name: small", "name: " + "a" * 300),
        r"name: the firm's own name has at most 100 lower-case letters",
    ),
    "lead time negative": (lead_time("-1"), r"supply\[0\]\.lead_time must be a whole number.*got -1"),
    "lead time long": (
        lead_time("1001"),
        r"supply\[0\]\.lead_time must be a whole number from 0 to 1000 or a law, got 1001",
    ),
    "lead time nothing": (lead_time(""), r"supply\[0\]\.lead_time must be a whole number or a law, got nothing"),
    "lead time text": (lead_time("'2'"), r"supply\[0\]\.lead_time must be a whole number or a law.*got '2'"),
    "lead time fraction": (lead_time("1.5"), r"supply\[0\]\.lead_time must be a whole number.*got 1\.5"),
}


def refused(path):
    with pytest.raises(ValueError, match=r"\S") as caught:
        load_firm(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    assert len(message) < 450 + len(str(path))
    return message


@pytest.mark.parametrize("case", CASES)
def test_a_malformed_firm_file_is_refused_with_one_line(case, tmp_path):
    text, expected = CASES[case]
    path = tmp_path / "firm.yaml"
    path.write_text(text)
    assert re.search(expected, refused(path))


def test_a_binary_file_is_refused_with_one_line(tmp_path):
    path = tmp_path / "firm.yaml"
    path.write_bytes(bytes(range(256)))
    assert "must be a YAML text file" in refused(path)


@pytest.mark.parametrize("source", ["a9", "nowhere/firm.yaml", "A1", "", ".", "x" * 5000, "a\0b"])
def test_what_is_neither_a_firm_file_nor_a_built_in_name_is_refused(source):
    with pytest.raises(
        ValueError, match=r"FIRM must be a firm file or a built-in name \(see `firmwide scenarios`\), got"
    ):
        load_firm(source)


def test_a_firm_that_is_no_mapping_is_refused():
    with pytest.raises(ValueError, match=r"a firm file must be a mapping .*, got int"):
        parse_firm(3)


def chain(length):
    points = {f"p-{i}": {"holding_cost": 1, "max_order": 10} for i in range(length)}
    points[f"p-{length - 1}"]["demand"] = 3
    supply = [{"from": f"p-{i}", "to": f"p-{i + 1}"} for i in range(length - 1)]
    return {"name": "deep", "stock_points": points, "supply": supply}


def test_a_chain_of_two_thousand_points_is_checked_like_any_other():
    content = chain(2000)
    assert len(parse_firm(content).names) == 2000
    content["supply"].append({"from": "p-1999", "to": "p-0"})
    with pytest.raises(
        ValueError, match=r"supply has a cycle: p-0 -> p-1 -> .* -> \.\.\. -> p-1999 -> p-0; remove one"
    ):
        parse_firm(content)


def test_a_name_that_expands_without_end_is_cut_short():
    layers = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    layers += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    content = yaml.safe_load("\n".join(layers))
    with pytest.raises(ValueError, match=r"description must be text, got \[") as caught:
        parse_firm(chain(2) | {"description": content["a9"]})
    assert len(str(caught.value)) < 1000
