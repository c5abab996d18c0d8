"""Fixed costs of orders, learned beside the best (s, S): `python benchmarks/fixed_costs.py`.

One point with Poisson demand of mean 10, holding cost 1 and backorder cost 9: `reorder` is the exact best (s, S) there,
which no policy beats. And pairs of points, each with a fixed cost of its own, where the best (s, S) of both are looked
for: levels up or down, alone or both of a point, as long as that is better on common episodes.

What is told is cost a period on the same fresh episodes: of the best (s, S), of tuned base-stock, and of `pathwise`
without and with `policy.hybrid` after so many updates. A run is a line of `--out`; one that is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

from coordinator.learning.iterations import Training
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.registry import scheme_of
from coordinator.schemes.setup import setup_of, starting_levels
from coordinator.workers.group import LocalGroup
from coordinator.workers.process import settle
from departments.play.compiled_episodes import CompiledEpisodes
from departments.play.episode import shards
from departments.policies.firm_policy import FirmPolicy
from departments.rules.ordering import BaseStock, baseline_levels, reorder_rule
from environment import Firm, World, parse_firm
from environment.observation import Observer
from environment.streams import Stream

_EPISODES, _SEARCHED, _PERIODS = 8192, 1024, {"train": 128, "evaluate": 125, "warm_up": 25}


def one_point(fixed_cost: int, lead_time: int) -> Firm:
    """A shop; its `reorder` is the exact optimum."""
    shop = {"holding_cost": 1, "backorder_cost": 9, "max_order": 200, "demand": {"law": "poisson", "mean": 10}}
    supply = [{"from": "outside", "to": "shop", "lead_time": lead_time}]
    points = {"shop": shop | {"fixed_order_cost": fixed_cost}}
    name = f"one-point-{fixed_cost}-lead-time-{lead_time}"
    return parse_firm({"name": name, "periods": _PERIODS, "stock_points": points, "supply": supply})


def two_points(fixed_cost: int, above: int) -> Firm:
    """A warehouse that pays `above`, and the shop that it supplies."""
    shop = {"holding_cost": 1, "backorder_cost": 9, "max_order": 200, "demand": {"law": "poisson", "mean": 10}}
    warehouse = {"holding_cost": 0.5, "fixed_order_cost": above, "max_order": 200}
    points = {"warehouse": warehouse, "shop": shop | {"fixed_order_cost": fixed_cost}}
    supply = [{"from": "outside", "to": "warehouse", "lead_time": 2}]
    supply += [{"from": "warehouse", "to": "shop", "lead_time": 1}]
    name = f"two-points-{above}-and-{fixed_cost}"
    return parse_firm({"name": name, "periods": _PERIODS, "stock_points": points, "supply": supply})


def best_rule(firm: Firm) -> BaseStock:
    """`reorder` of one point, of several what a search from there finds."""
    rule, world = reorder_rule(firm), World(firm, baseline_levels(firm))
    if len(firm.names) == 1:
        return rule
    played = CompiledEpisodes(world, lambda _: None)
    (chance,) = shards(world, _SEARCHED, 0, Stream.SELECTION)

    def cost(pairs: np.ndarray) -> float:
        return float(played.costs(BaseStock("", pairs[1], reorder_points=pairs[0]), chance).sum(0).mean())

    best, step = np.stack((rule.reorder_points, rule.levels)), 8
    least = cost(best)
    while step:
        tried = []
        for point in range(len(firm.names)):
            for moved in ([0], [1], [0, 1]):
                for by in (-step, step):
                    pairs = best.copy()
                    pairs[moved, point] += by
                    if (pairs[0] < pairs[1]).all():
                        tried.append((cost(pairs), len(tried), pairs))
        if min(tried)[0] < least:
            least, _, best = min(tried)
        else:
            step //= 2
    return BaseStock("(s, S)", best[1], reorder_points=best[0])


def learned(firm: Firm, updates: int) -> dict[str, Any]:
    """Costs a period on fresh episodes, and standard errors of the difference to the best (s, S)."""
    world = World(firm, baseline_levels(firm))
    played, chances = CompiledEpisodes(world, lambda _: None), list(shards(world, _EPISODES, 0))

    def costs(policy: BaseStock | FirmPolicy) -> np.ndarray:
        counted = _PERIODS["evaluate"] - _PERIODS["warm_up"]
        return np.concatenate([played.episodes(policy, chance).cost for chance in chances]) / counted

    best = costs(best_rule(firm))
    found: dict[str, Any] = {"firm": firm.name, "best": float(best.mean())}
    for name, hybrid in (("plain", False), ("hybrid", True)):
        teaching = {"updates": updates, "learning_rate": 0.01}
        settings = settings_of(scheme="pathwise", pathwise=teaching, policy={"hybrid": hybrid})
        base = starting_levels(firm, settings)
        plan = setup_of(firm, settings, base)
        how = {"streams": plan.streams, "train_periods": plan.firm.periods.train}
        training = Training(LocalGroup(plan.factories, 1, 1), settings, plan.base(settings), **how)
        runner = scheme_of("pathwise").runner.begin(plan.network, training)
        runner.run(lambda _: None, lambda *_: None, lambda: None)
        own = costs(FirmPolicy(world, Observer(world, base, "standard"), runner.policies))
        found |= {"tuned": float(costs(BaseStock("tuned", base)).mean()), name: float(own.mean())}
        found[f"{name}_error"] = float((own - best).std() / _EPISODES**0.5)
    return found


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=1000, help="of each run")
    parser.add_argument("--out", type=Path, default=Path("runs/fixed-costs.jsonl"))
    options = parser.parse_args()
    settle()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.touch()
    done = {line["firm"]: line for line in map(json.loads, options.out.open())}
    firms = [one_point(cost, lead_time) for cost in (16, 64, 256) for lead_time in (1, 4)]
    sys.stdout.write("| firm | best (s, S) | tuned base-stock | pathwise | hybrid | over the best (s, S) |\n")
    sys.stdout.write("| --- | ---: | ---: | ---: | ---: | ---: |\n")
    for firm in (*firms, two_points(30, 100), two_points(100, 100)):
        found = done.get(firm.name)
        if found is None:
            found = learned(firm, options.updates)
            with options.out.open("a") as file:
                file.write(json.dumps(found) + "\n")
        gap, error = (100 * x / found["best"] for x in (found["hybrid"] - found["best"], 2 * found["hybrid_error"]))
        cells = [f"{found[name]:.2f}" for name in ("best", "tuned", "plain", "hybrid")]
        sys.stdout.write("| " + " | ".join([firm.name, *cells, f"{gap:+.2f} ± {error:.2f}%"]) + " |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
