"""Other people's instances: firms whose parameters and results somebody else has published, by family.

`firmwide scenarios --family NAME` shows them.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from environment.gym_invmgmt import gym_invmgmt
from environment.laws import parse_law
from environment.published import Family, Instance, Published
from environment.two_echelon import two_echelon


def families() -> dict[str, Family]:
    """All families, by name."""
    return {family.name: family for family in _all()}


@cache
def _all() -> tuple[Family, ...]:
    return (_lost_sales(), _one_warehouse(), _dual_sourcing(), _cardboard(), _serial(), gym_invmgmt(), two_echelon())


def instance_firm(name: str) -> dict[str, Any] | None:
    """The content of the firm file of an instance; None where no family has it."""
    for family in _all():
        if name in family.instances:
            return {"name": name, **family.instances[name].content}
    return None


_LOST_SALES = {  # by law and penalty: optimal and best base-stock costs at lead times 1 to 4 (tables 3 and 4)
    ("poisson", 4): ((4.04, 4.40, 4.60, 4.73), (4.16, 4.64, 4.98, 5.20)),
    ("poisson", 9): ((5.44, 6.09, 6.53, 6.84), (5.55, 6.32, 6.86, 7.27)),
    ("poisson", 19): ((6.68, 7.66, 8.36, 8.89), (6.73, 7.84, 8.60, 9.23)),
    ("poisson", 39): ((7.84, 9.11, 10.04, 10.79), (7.86, 9.19, 10.22, 11.06)),
    ("geometric", 4): ((9.82, 10.24, 10.47, 10.61), (10.04, 10.70, 11.13, 11.44)),
    ("geometric", 9): ((14.51, 15.50, 16.14, 16.58), (14.73, 15.99, 16.87, 17.54)),
    ("geometric", 19): ((19.22, 20.89, 22.06, 22.95), (19.40, 21.31, 22.73, 23.85)),
    ("geometric", 39): ((23.87, 26.21, 27.96, 29.36), (24.00, 26.55, 28.51, 30.12)),
}


def _lost_sales() -> Family:
    """One point with lost sales, holding cost 1 and demand of mean 5 a period."""
    mean = 5
    demands = {
        "poisson": {"law": "poisson", "mean": mean},
        "geometric": {"law": "negative_binomial", "mean": mean, "cv": math.sqrt(1 + 1 / mean)},  # on 0, 1, ...
    }
    return Family(
        "lost-sales",
        "Zipkin (2008), Old and new methods for lost-sales inventory systems, Operations Research 56(5), tables 3-4",
        "a period",
        "",
        {
            f"lost-sales-{law}-p{penalty}-l{lead_time}": Instance(
                {
                    "description": f"lost sales, {law} demand, penalty {penalty}, lead time {lead_time} (Zipkin 2008)",
                    "unmet": "lost",
                    "periods": {"train": 100, "evaluate": 200, "warm_up": 100},
                    "stock_points": {
                        "shop": {
                            "holding_cost": 1,
                            "backorder_cost": penalty,
                            "max_order": 60,
                            "demand": demands[law],
                        }
                    },
                    "supply": [{"from": "outside", "to": "shop", "lead_time": lead_time}],
                },
                (
                    Published("optimal", optimal[lead_time - 1], "optimum"),
                    Published("best base-stock", base_stock[lead_time - 1], "tuned-base-stock"),
                ),
            )
            for (law, penalty), (optimal, base_stock) in _LOST_SALES.items()
            for lead_time in (1, 2, 3, 4)
        },
    )


_Demand = dict[str, Any] | tuple[float, float]  # a law, or mean and deviation of a normal number


def _poisson(*means: float) -> list[_Demand]:
    return [{"law": "poisson", "mean": mean} for mean in means]


_DEMANDS: dict[str, list[_Demand]] = {  # of the retailers, by what the paper calls them
    "3": _poisson(3, 3, 3),
    "mixed": [{"law": "uniform", "low": 0, "high": 6}, (3, 1), *_poisson(3)],
    "uneven": [(1, 5), (5, 1), *_poisson(0.5)],
    "ten": [(5, 14)] * 10,
    "ten uneven": [(0, 20), (2, 16), (4, 12), (6, 8), (8, 4), {"law": "fixed", "value": 10}, *_poisson(0.5, 3, 9, 12)],
}
_ONE_WAREHOUSE = (  # unmet, lead times of warehouse and retailers, demands; costs: proportional, minimum shortage, PPO
    ("backorder", 2, (1, 1, 1), "3", (1655.5, 1609.5, 1637.2)),
    ("backorder", 2, (1, 1, 1), "mixed", (1383.9, 1426.8, 1417.5)),
    ("backorder", 2, (1, 1, 1), "uneven", (1776.0, 1800.5, 1731.7)),
    ("backorder", 2, (1, 2, 3), "3", (1858.9, 1857.3, 1909.0)),
    ("backorder", 5, (3, 3, 3), "uneven", (2246.8, 2306.9, 2331.1)),
    ("lost", 1, (1, 1, 1), "3", (1373.9, 1366.5, 1347.3)),
    ("lost", 2, (1, 1, 1), "3", (1406.3, 1408.1, 1405.1)),
    ("lost", 5, (1, 1, 1), "3", (1508.1, 1516.7, 1495.5)),
    ("lost", 2, (1, 2, 3), "3", (1536.0, 1561.6, 1511.7)),
    ("lost", 5, (3, 3, 3), "uneven", (1736.6, 1741.6, 1674.5)),
    ("emergency", 2, (1, 1, 1), "3", (1111.8, 1110.0, 971.9)),
    ("emergency", 2, (1, 1, 1), "uneven", (1402.4, 1406.4, 1118.9)),
    ("emergency", 2, (2,) * 10, "ten", (101727, 99883, 79727)),
    ("emergency", 2, (2,) * 10, "ten uneven", (53359, 52787, 42835)),
)
_EMERGENCY = 0.8  # chance that what a retailer is short of comes from the warehouse at once; what does not is lost


def _one_warehouse() -> Family:
    """One warehouse and three or ten retailers, and an instance again with the lead time that its costs fit."""
    ways = ("echelon base-stock, proportional", "echelon base-stock, minimum shortage", "PPO")
    played = ("tuned-echelon-base-stock", None, None)
    rows = {str(number): row for number, row in enumerate(_ONE_WAREHOUSE, 1)}
    unmet, _, leads, demands, costs = rows["5"]
    rows["5-sooner"] = (unmet, 2, leads, demands, costs)
    return Family(
        "one-warehouse",
        "Kaynov et al. (2024), Deep reinforcement learning for one-warehouse multi-retailer inventory management, "
        "International Journal of Production Economics 267, 109088, table A.3 (through a public transcription)",
        "of 100 periods",
        "the source says nothing of its start: here there is no stock, and in each period of the lead times a period's "
        "mean demand arrives everywhere, which fits the published rules best of many starts that were tried; 5-sooner "
        "is 5 with a warehouse's lead time of 2 instead of 5, which is what the costs published of 5 fit",
        {
            f"one-warehouse-{number}": Instance(
                _one_warehouse_content(number, *row[:4]), tuple(map(Published, ways, row[4], played))
            )
            for number, row in rows.items()
        },
    )


def _one_warehouse_content(
    number: str, unmet: str, lead_time: int, lead_times: tuple[int, ...], demands: str
) -> dict[str, Any]:
    laws = [_normal(*of) if isinstance(of, tuple) else of for of in _DEMANDS[demands]]
    means = [math.floor(_mean(law) + 0.5 + 1e-6) for law in laws]  # half a unit counts as one
    large = len(laws) > 3
    holding, at_retailers, penalty = (3, 3, 60) if large else (0.5, 1, 9)
    most = 2000 if large else 200
    points: dict[str, Any] = {
        "warehouse": {"holding_cost": holding, "max_order": most, "initial_on_hand": 0, "allocation": "proportional"}
    }
    way = {"lead_time": lead_time, "initial_pipeline": sum(means)}
    supply: list[dict[str, Any]] = [{"from": "outside", "to": "warehouse"} | way]
    for retailer, (law, time, mean) in enumerate(zip(laws, lead_times, means, strict=True), 1):
        own = {"holding_cost": at_retailers, "backorder_cost": penalty, "max_order": 100, "initial_on_hand": 0}
        points[f"retailer-{retailer}"] = own | {"demand": law}
        way = {"lead_time": time, "initial_pipeline": mean}
        supply.append({"from": "warehouse", "to": f"retailer-{retailer}"} | way)
        if unmet == "emergency":
            supply[-1]["emergency"] = _EMERGENCY
    return {
        "description": f"one warehouse, {len(laws)} retailers, {unmet}, instance {number} of Kaynov et al. (2024)",
        "unmet": "backorder" if unmet == "backorder" else "lost",
        "periods": {"train": 128, "evaluate": 101, "warm_up": 1},  # period 0 is before the first order
        "stock_points": points,
        "supply": supply,
    }


_DUAL_SOURCING = {  # by regular lead time and expedited cost: gaps to the optimum in %, as below
    (2, 105): (0.00, 0.11, 0.56, 0.06, 0.52),
    (2, 110): (0.03, 0.18, 1.03, 0.99, 0.80),
    (3, 105): (0.00, 0.27, 0.98, 0.01, 0.82),
    (3, 110): (0.06, 0.36, 2.11, 0.71, 0.51),
    (4, 105): (0.00, 0.36, 1.43, 0.00, 1.85),
    (4, 110): (0.11, 0.49, 2.44, 0.58, 1.33),
}


def _dual_sourcing() -> Family:
    """One point and two suppliers, of which the one delivers for the demand of the period itself."""
    rules = ("capped-dual-index", "dual-index", "single-index", "tailored-base-surge", None)
    ways = ("capped dual index", "dual index", "single index", "tailored base-surge", "A3C")
    return Family(
        "dual-sourcing",
        "Gijsbrechts, Boute, Van Mieghem & Zhang (2022), Can deep reinforcement learning improve inventory "
        "management?, Manufacturing & Service Operations Management 24(3), figure 9 (through a transcription)",
        "in % above the optimum's",
        "as there orders come first, then what is due, an expedited order of the period too, then demand and costs",
        {
            f"dual-sourcing-l{lead_time}-c{cost}": Instance(
                {
                    "description": f"two suppliers, lead time {lead_time}, or 0 at {cost} (Gijsbrechts et al. 2022)",
                    "supplier_choice": "ordered",
                    "periods": {"train": 100, "evaluate": 200, "warm_up": 100},
                    "suppliers": ["regular", "expedited"],
                    "stock_points": {
                        "shop": {
                            "holding_cost": 5,
                            "backorder_cost": 495,
                            "max_order": 20,
                            "demand": {"law": "uniform", "low": 0, "high": 4},
                        }
                    },
                    "supply": [
                        {"from": "regular", "to": "shop", "lead_time": lead_time, "unit_cost": 100, "share": 1},
                        {"from": "expedited", "to": "shop", "lead_time": 0, "unit_cost": cost, "share": 0},
                    ],
                },
                tuple(map(Published, ways, gaps, rules)),
            )
            for (lead_time, cost), gaps in _DUAL_SOURCING.items()
        },
    )


_ROUTES = (  # chance that a retailer's order goes to each warehouse
    (0.60, 0.50, 0.15, 0.0, 0.0),
    (0.30, 0.40, 0.80, 0.10, 0.0),
    (0.0, 0.0, 0.0, 0.80, 0.70),
    (0.10, 0.10, 0.05, 0.10, 0.30),
)
_ROUTED = {"warehouse-1": 82, "warehouse-2": 100, "warehouse-3": 64, "warehouse-4": 83}  # levels of set 1, and of 2
_SPLIT = {"warehouse-1": 37, "warehouse-2": 47, "warehouse-3": 33, "warehouse-4": 63}


def _cardboard() -> Family:
    """Four warehouses and five retailers of the CardBoard Company, and one warehouse with three retailers."""
    instances = {
        "cardboard-routed": _general("a supplier drawn for every order", "random", 35, _ROUTED, (10467, 8714, 630401)),
        "cardboard-split": _general("an order of every edge", "ordered", 30, _SPLIT, (4797, 4175, 314923)),
    }
    points: dict[str, Any] = {"warehouse": {"holding_cost": 0.6, "max_order": 300, "initial_on_hand": 0}}
    supply: list[dict[str, Any]] = [{"from": "outside", "to": "warehouse", "lead_time": 1}]
    demand = {"law": "poisson_uniform", "low": 5, "high": 15}
    for name in (f"retailer-{i}" for i in (1, 2, 3)):
        points[name] = _retailer(demand)
        supply.append({"from": "warehouse", "to": name, "lead_time": 1})
    content = {
        "description": "one warehouse, three retailers, the sibling of the CardBoard Company (Geevers et al. 2024)",
        "sequence": "geevers",
        "periods": {"train": 128, "evaluate": 75, "warm_up": 25},
        "stock_points": points,
        "supply": supply,
    }
    rule = "base-stock:warehouse=124,retailer-1=30,retailer-2=30,retailer-3=30"
    published = (Published("base-stock 124 / 30", 4059, rule), Published("PPO", 3724))
    instances["cardboard-divergent"] = Instance(content, published)
    return Family(
        "cardboard",
        "Geevers, van Hezewijk & Mes (2024), Multi-echelon inventory optimization using deep reinforcement learning, "
        "Central European Journal of Operations Research 32(3) (costs through a transcription; the sequence of events "
        "from the authors' code)",
        "of 50 periods",
        "there backorders are served in the order of the retailers, here by inventory level, too; what a warehouse of "
        "the divergent one cannot ship is not owed there any more",
        instances,
    )


def _general(how: str, choice: str, level: int, levels: dict[str, int], costs: tuple[float, ...]) -> Instance:
    """One of the two sets of experiments with four warehouses and five retailers."""
    own = {"holding_cost": 0.6, "max_order": 300, "initial_on_hand": 0, "allocation": "inventory-level"}
    points: dict[str, Any] = {w: dict(own) for w in levels}
    supply: list[dict[str, Any]] = [{"from": "outside", "to": w, "lead_time": 1} for w in levels]
    for i in range(len(_ROUTES[0])):
        points[f"retailer-{i + 1}"] = _retailer({"law": "poisson", "mean": 15})
        routes = {w: row[i] for w, row in zip(levels, _ROUTES, strict=True) if row[i]}
        for warehouse, chance in routes.items():
            edge = {"from": warehouse, "to": f"retailer-{i + 1}", "lead_time": 1}
            supply.append(edge | {"share": chance if choice == "random" else 1.0 / len(routes)})
    content = {
        "description": f"the CardBoard Company, {how} (Geevers et al. 2024)",
        "supplier_choice": choice,
        "periods": {"train": 128, "evaluate": 100, "warm_up": 50},
        "stock_points": points,
        "supply": supply,
    }
    ways = (f"base-stock {'/'.join(map(str, levels.values()))} / {level}", "PPO, best of ten", "PPO, mean of ten")
    printed = levels | {name: level for name in points if name not in levels}
    return Instance(content, tuple(map(Published, ways, costs)), printed)


def _retailer(demand: dict[str, Any]) -> dict[str, Any]:
    return {"holding_cost": 1, "backorder_cost": 19, "max_order": 75, "initial_on_hand": 0, "demand": demand}


_FINE = 100  # units here for one there, where demand is normal
_SERIAL: dict[str, tuple[tuple[int, ...], tuple[int, ...], float, float | tuple[int, int], float]] = {
    # local holding costs and lead times, the customer's stage first; penalty, demand, optimal cost
    "serial-normal-3": ((7, 4, 2), (1, 1, 2), 37.12, (5, 1), 47.65),
    "serial-poisson-1": ((1,), (1,), 9, 5, 4.2208),
    "serial-poisson-2": ((3, 1), (1, 1), 10, 5, 16.798),
    "serial-poisson-3": ((7, 4, 2), (1, 1, 2), 37.12, 5, 72.044),
}


def _serial() -> Family:
    """Stages in a line with backorders, whose optimum is known."""
    instances = {}
    for name, (holding, leads, penalty, demand, cost) in _SERIAL.items():
        fine = _FINE if isinstance(demand, tuple) else 1
        law = _normal(fine * demand[0], fine * demand[1]) if isinstance(demand, tuple) else _poisson(demand)[0]
        stages = [f"stage-{number}" for number in range(len(holding), 0, -1)]
        points: dict[str, Any] = {
            stage: {"holding_cost": cost / fine, "max_order": 100 * fine}
            for stage, cost in zip(stages, reversed(holding), strict=True)
        }
        points["stage-1"] |= {"backorder_cost": penalty / fine, "demand": law}
        content = {
            "description": f"{len(stages)} stages in a line, backorders (Snyder & Shen, section 6.2)",
            "periods": {"train": 128, "evaluate": 200, "warm_up": 100},
            "stock_points": points,
            "supply": [
                {"from": supplier, "to": stage, "lead_time": lead - (stage == "stage-1")}
                for supplier, stage, lead in zip(("outside", *stages), stages, reversed(leads), strict=False)
            ],
        }
        instances[name] = Instance(content, (Published("optimal", cost, "optimum"),))
    return Family(
        "serial",
        "Snyder & Shen, Fundamentals of Supply Chain Theory, example 6.1; Poisson demand by their program stockpyl "
        "(through a transcription)",
        "a period",
        "an order of a morning serves the day, so the lead time of stage 1 is one less here; what is between stages is "
        "not counted, and what is upstream a period later, by which costs are 30, 0, 5 and 30 less; 100 units are one "
        "where demand is normal",
        instances,
    )


def _mean(law: dict[str, Any]) -> float:
    mass = parse_law(law, Path()).mass()
    return float(np.arange(len(mass)) @ mass)


def _normal(mean: float, deviation: float) -> dict[str, Any]:
    return {"law": "normal", "mean": mean, "deviation": deviation}
