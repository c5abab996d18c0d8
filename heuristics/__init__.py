"""Benchmark rules: exact and heuristic levels for stock points and supply networks, from plain arrays and numbers."""

from heuristics.aggregation import decomposition_aggregation, matching_level
from heuristics.base_stock import OUTSIDE, descendant_weights, echelon_inventory_position, order_up_to
from heuristics.mass import (
    Mass,
    as_mass,
    backorders_at,
    cdf,
    convolve,
    demand_over,
    expected_backorders,
    lead_time_demand,
    mixture,
    point_mass,
    quantile,
    thinned,
)
from heuristics.newsvendor import critical_ratio, newsvendor, newsvendor_normal
from heuristics.reorder import (
    OrderUpTo,
    best_order_up_to,
    order_up_to_cost,
    position_cost,
)
from heuristics.search import TunedLevels, tune_levels
from heuristics.serial import SerialOptimum, clark_scarf, local_levels, shang_song, shang_song_mass

__all__ = [
    "OUTSIDE",
    "Mass",
    "OrderUpTo",
    "SerialOptimum",
    "TunedLevels",
    "as_mass",
    "backorders_at",
    "best_order_up_to",
    "cdf",
    "clark_scarf",
    "convolve",
    "critical_ratio",
    "decomposition_aggregation",
    "demand_over",
    "descendant_weights",
    "echelon_inventory_position",
    "expected_backorders",
    "lead_time_demand",
    "local_levels",
    "matching_level",
    "mixture",
    "newsvendor",
    "newsvendor_normal",
    "order_up_to",
    "order_up_to_cost",
    "point_mass",
    "position_cost",
    "quantile",
    "shang_song",
    "shang_song_mass",
    "thinned",
    "tune_levels",
]
