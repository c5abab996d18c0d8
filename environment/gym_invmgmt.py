"""Instances of gym-invmgmt: the line of three stock points, under three laws of demand, with backorders or lost sales.

Barati and Hu's environment plays 30 periods: orders, shipments of what suppliers had before, arrivals, demand, profit.
What differs here is said by the family; `benchmarks/gym_invmgmt.py` lets departments that have learned here act there.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from environment.published import Family, Instance, Published

PERIODS = 30  # of an episode there, where period t is ours, too
LEAD_TIMES = {"factory": 0, "distributor": 4, "retailer": 4}  # there
HOLDING = {"factory": 0.010, "distributor": 0.020, "retailer": 0.030}  # money per unit on hand and period
IN_TRANSIT = {"factory": 0.0, "distributor": 0.005, "retailer": 0.010}  # money per unit on its way there and period
START = {"factory": 200, "distributor": 100, "retailer": 100}  # units
PRICE, BACKORDER_COST, MATERIAL, WORK = 2.0, 0.1, 0.5, 0.01  # money per unit; work is of what the factory ships
CAPACITY = 100  # units that the factory ships in a period

_WAYS = (  # of the source's: the best on average, and who in a scenario here is second to the programme alone
    "oracle",
    "stochastic programme",
    "PPO, transformer",
    "residual PPO",
    "echelon rule",
    "(s, S)",
    "newsvendor rule",
    "PPO",
    "PPO, graph network",
    "imitation of the oracle, blind",
    "SAC",
)
_PROFITS = {  # mean of ten episodes, by demand and what becomes of unmet demand
    "stationary-backorder": (1023.94, 1006.31, 836.68, 854.41, 881.62, 865.08, 832.83, 855.15, 740.51, 950.26, -603.3),
    "stationary-lost": (1023.79, 986.47, 769.92, 871.57, 872.54, 864.1, 856.94, 869.06, 785.96, 951.51, -603.56),
    "season-backorder": (1529.94, 1502.4, 1241.04, 1066.19, 1054.82, 1257.77, 958.07, 211.53, 190.18, 327.87, 265.48),
    "season-lost": (1406.78, 1364.57, 1067.34, 1194.22, 975.5, 1172.37, 1152.92, 712.57, 704.59, 937.41, 32.87),
    "shock-backorder": (2136.78, 2104.52, 1402.39, 858.07, 1138.16, 1155.92, 722.09, -118.53, -139.88, -2.19, 1180.25),
    "shock-lost": (2013.63, 1965.71, 1525.39, 1257.47, 1118.28, 1439.59, 1206.52, 669.27, 661.24, 894.78, 948.85),
}


def gym_invmgmt() -> Family:
    """A factory, a distributor and a retailer in a line, whose episodes end."""
    return Family(
        "gym-invmgmt",
        "Barati & Hu (2026), gym-invmgmt, arXiv 2605.11355, scenarios of the topology serial without goodwill; profits "
        "from results/benchmark_final_merged.csv of github.com/r2barati/gym-invmgmt-paper at 0ec993a",
        "of 30 periods, which is the profit where it is below 0, mean of ten given episodes",
        "there suppliers ship what they had before anything arrived: here lead times to factory and distributor are a "
        "period longer. What that period, the way and the factory's work cost is paid with the order here, there when "
        "they come about, so an order that comes too late costs more here. What a supplier lacks is owed here; there "
        "it has to be asked for again. An episode ends as no demand comes after it",
        {
            f"gym-invmgmt-{demand}-{unmet}": Instance(
                _content(demand, unmet),
                tuple(
                    Published(way, -profit) for way, profit in zip(_WAYS, _PROFITS[f"{demand}-{unmet}"], strict=True)
                ),
            )
            for demand, unmet in product(("stationary", "season", "shock"), ("backorder", "lost"))
        },
    )


def _content(demand: str, unmet: str) -> dict[str, Any]:
    law: dict[str, Any] = {"law": "poisson", "mean": 20}
    law["events"] = [{"period": PERIODS, "periods": PERIODS, "factor": 0}]
    if demand != "stationary":  # `trend+seasonal` there, and `trend+seasonal+shock`
        law |= {"trend": {"growth": 0.05, "periods": PERIODS - 1}, "season": {"period": 30, "amplitude": 0.5}}
    if demand == "shock":
        law["events"] = [{"period": 15, "periods": PERIODS - 15, "factor": 2}, *law["events"]]
    points: dict[str, Any] = {}
    for name, lead_time in LEAD_TIMES.items():
        later = 0.0 if name == "retailer" else HOLDING[name]  # a period longer on its way here, on hand there
        cost = IN_TRANSIT[name] * lead_time + later
        cost += {"factory": MATERIAL, "distributor": WORK}.get(name, 0.0)
        points[name] = {"holding_cost": HOLDING[name], "unit_cost": round(cost, 6), "max_order": 400}
        points[name] |= {"initial_on_hand": START[name]}
    points["retailer"] |= {"price": PRICE, "backorder_cost": BACKORDER_COST, "demand": law}
    first, second, third = points
    return {
        "description": f"a line of three, {demand} demand, unmet: {unmet} (Barati & Hu 2026)",
        "unmet": unmet,
        "periods": {"train": PERIODS + 1, "evaluate": PERIODS + 1, "warm_up": 1},
        "stock_points": points,
        "supply": [
            {"from": "outside", "to": first, "lead_time": LEAD_TIMES[first] + 1},
            {"from": first, "to": second, "lead_time": LEAD_TIMES[second] + 1, "capacity": CAPACITY},
            {"from": second, "to": third, "lead_time": LEAD_TIMES[third]},
        ],
    }
