"""Firms small enough for an exact optimum, on which learners can be measured; what it is stands in the tests of it."""

from environment import Firm, parse_firm


def tiny(shop: dict[str, object] | None = None, segment: dict[str, object] | None = None, **changes: object) -> Firm:
    """One shop, two products, one segment, 30 decisions: profit 682.50 an episode, 656.75 without a clock.

    What is given changes fields of its shop, its segment or the whole.
    """
    return parse_firm(
        {
            "name": "tiny",
            "unmet": "lost",
            "periods": {"train": 30, "evaluate": 31, "warm_up": 0},
            "products": ["p1", "p2"],
            "stock_points": {
                "shop": {
                    "holding_cost": 0.3,
                    "backorder_cost": 1,
                    "max_order": 5,
                    "price": {"p1": 10, "p2": 9},
                    "unit_cost": {"p1": 6, "p2": 5.4},
                    "salvage_value": {"p1": 3, "p2": 2.7},
                    "initial_on_hand": 4,
                    **(shop or {}),
                }
            },
            "customers": {
                "shop": {
                    "slots": 1,
                    "segments": {
                        "all": {"traffic": 7, "preference": {"p1": 0.2, "p2": -0.2}, "uplift": 1.5, **(segment or {})}
                    },
                }
            },
            "supply": [{"from": "outside", "to": "shop", "initial_pipeline": 3, "lead_time": 1}],
        }
        | changes
    )


def halves() -> Firm:
    """Small orders, and customers who follow what is shown: halves of a slot are worth 6%.

    Profit an episode by wholes, halves and quarters of a slot 582.41, 616.95, 623.43; without a clock 555.53, 596.31.
    """
    return tiny(
        {"max_order": 3, "holding_cost": 1, "unit_cost": {"p1": 6, "p2": 5.4}},
        {"traffic": 8, "preference": -0.5, "uplift": 3},
        name="halves",
    )


def waiting() -> Firm:
    """One product, lead time 2, lost sales and an end, nobody chooses: 247.74 an episode, 231.29 without a clock."""
    shop = {"holding_cost": 0.5, "backorder_cost": 2, "max_order": 9, "price": 5, "unit_cost": 3, "salvage_value": 1}
    return parse_firm(
        {
            "name": "waiting",
            "unmet": "lost",
            "periods": {"train": 40, "evaluate": 41, "warm_up": 0},
            "stock_points": {"shop": shop | {"initial_on_hand": 6, "demand": {"law": "poisson", "mean": 4}}},
            "supply": [{"from": "outside", "to": "shop", "initial_pipeline": 4, "lead_time": 2}],
        }
    )


def lost_sales(penalty: float, lead_time: int, **changes: object) -> Firm:
    """Poisson demand of mean 5 whose sales are lost, in the long run; see Zipkin (2008)."""
    shop = {"holding_cost": 1, "backorder_cost": penalty, "max_order": 60, "demand": {"law": "poisson", "mean": 5}}
    return parse_firm(
        {
            "name": f"lost-{penalty}-{lead_time}",
            "unmet": "lost",
            "periods": {"evaluate": 150, "warm_up": 50},
            "stock_points": {"shop": shop},
            "supply": [{"from": "outside", "to": "shop", "lead_time": lead_time}],
        }
        | changes
    )
