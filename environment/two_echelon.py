"""Instances of a warehouse and ten alike retailers whose customers may be served from the warehouse at once.

Two case studies of Van Roy et al. (1997) with the parameters by which Gijsbrechts et al. (2022) took them up.
"""

from __future__ import annotations

from typing import Any

from environment.published import Family, Instance, Published

STORES = tuple(f"store-{number}" for number in range(1, 11))
STORAGE, LOST_SALE = 3, 60  # money per unit and period, at the warehouse and in stores; per unit
SPECIAL_DELIVERY = 0.8  # chance that who is not served waits for a special delivery, which costs nothing
PRODUCTION = 100  # units that the warehouse may order a period

# lead times of warehouse and stores, mean and deviation of a store's demand, best constant levels as printed; what is
# saved of their cost, in %: by neuro-dynamic programming (1,302 to 1,179 and 1,449 to 1,318 a period), by A3C
_CASES = {
    "two-echelon-1": (2, 2, 5, 14, (330, 23), 9.45, 8.95),
    "two-echelon-2": (5, 3, 0, 20, (460, 22), 9.04, 12.09),
}


def two_echelon() -> Family:
    """One warehouse and ten stores, in the long run."""
    return Family(
        "two-echelon",
        "Van Roy, Bertsekas, Lee & Tsitsiklis (1997), A neuro-dynamic programming approach to retailer inventory "
        "management, 36th IEEE Conference on Decision and Control; Gijsbrechts, Boute, Van Mieghem & Zhang (2022), "
        "Manufacturing & Service Operations Management 24(3), table 3 (both through a transcription)",
        "in % above that of the best constant base-stock levels",
        "what a store could not serve comes by special delivery for all of a period's customers or for none, there for "
        "each of them by itself; what the warehouse cannot ship is owed",
        {
            name: Instance(
                _content(name, *case[:4]),
                (
                    Published("base-stock, the best constant levels", 0.0, "tuned-base-stock"),
                    Published("neuro-dynamic programming", -case[5]),
                    Published("A3C", -case[6]),
                ),
                {"warehouse": case[4][0], **dict.fromkeys(STORES, case[4][1])},
            )
            for name, case in _CASES.items()
        },
    )


def _content(name: str, to_warehouse: int, to_stores: int, mean: float, deviation: float) -> dict[str, Any]:
    store = {
        "holding_cost": STORAGE,
        "backorder_cost": LOST_SALE,
        "max_order": 100,
        "demand": {"law": "normal", "mean": mean, "deviation": deviation},
    }
    way = {"from": "warehouse", "lead_time": to_stores, "emergency": SPECIAL_DELIVERY}
    return {
        "description": f"a warehouse and ten stores, special deliveries, {name} (Van Roy et al. 1997)",
        "unmet": "lost",
        "periods": {"train": 128, "evaluate": 300, "warm_up": 100},
        "stock_points": {
            "warehouse": {"holding_cost": STORAGE, "max_order": PRODUCTION},
            **dict.fromkeys(STORES, store),
        },
        "supply": [
            {"from": "outside", "to": "warehouse", "lead_time": to_warehouse},
            *(way | {"to": of} for of in STORES),
        ],
    }
