"""Departments of ours in somebody else's environment and table: `python benchmarks/invmgmt.py`.

Barati and Hu's gym-invmgmt (2026; `pip install 'firmwide[gym-invmgmt]'`) judges, on its own episodes: their ten seeds.
Departments see the whole firm, learn for so many seconds in the firm of the same instance here and act there through
`Twin`: the same firm follows what happens there, so they see what they saw when they learned. It is refused to go on
where the two differ by more than rounding. Beside them stand the published agents, of which the newsvendor rule and
the oracle are played again, to know that it is the same judge. Where customers there have goodwill, which makes demand
hang on service, departments act that have learned without it.

A run is a folder of `--out`; one that is there is not trained again.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

import firmwide
from coordinator.evaluation.evaluate import load_policy_or_rule
from departments.decisions import Memory, Policy
from departments.play.stepping import feasible
from departments.rules.ordering import baseline_levels
from environment import Firm, State, World, load_firm
from environment.gym_invmgmt import PERIODS
from environment.instances import families

SEEDS = (42, 123, 456, 789, 1011, 2022, 3033, 4044, 5055, 6066)  # of the published figures
INSTANCES = families()["gym-invmgmt"].instances
_FAMILY = "gym-invmgmt-"
SUPPLIED = ("retailer", "distributor", "factory")  # the order of actions there
_NODES = {"retailer": 1, "distributor": 2, "factory": 3}
_EFFECTS = {"stationary": [], "season": ["trend", "seasonal"], "shock": ["trend", "seasonal", "shock"]}
WITH_GOODWILL = {  # profits published of `gym-invmgmt-` .., in the order of the family's
    "season-backorder": (1278.23, 1186.47, 633.46, 997.97, 940.6, 1029.76, 949.76, 566.74, 564.34, 679.63, 721.07),
    "season-lost": (1241.58, 1144.28, 804.28, 1041.46, 868.93, 1025.85, 1013.61, 731.26, 731.26, 880.51, 638.02),
    "shock-backorder": (1734.21, 1560, 1116.96, 1139.95, 1133.93, 1262.05, 1078.3, 448.8, 446.4, 855.12, 1440.8),
    "shock-lost": (1761.44, 1568.76, 1401.29, 1220.47, 1054.97, 1306.24, 1162.72, 714.32, 714.32, 947.06, 1443.2),
}


def judge(name: str, *, goodwill: bool = False) -> Any:  # noqa: ANN401
    """The environment of an instance as the published figures had it."""
    from gym_invmgmt import CoreEnv

    demand, unmet = name.removeprefix(_FAMILY).split("-")
    config = {"effects": _EFFECTS[demand], "base_mu": 20, "use_goodwill": goodwill}
    return CoreEnv(scenario="serial", demand_config=config, num_periods=PERIODS, backlog=unmet == "backorder")


class Twin:
    """A policy of ours as an agent there: the firm of the instance goes along, and knows what suppliers still owe."""

    def __init__(self, firm: Firm, policy: str | Policy) -> None:
        """Take a run folder, the name of a rule, or a policy."""
        self.world = World(firm, baseline_levels(firm))
        self._policy = load_policy_or_rule(policy, self.world) if isinstance(policy, str) else policy
        self._rows = [firm.names.index(name) for name in SUPPLIED]
        suppliers, customers = zip(*self.world.network.edge_names, strict=True)
        self._edges = [customers.index(name) for name in SUPPLIED]
        self._inside = [
            customers.index(name) for name, supplier in zip(customers, suppliers, strict=True) if supplier in firm.names
        ]
        self.state: State
        self._memory: Memory
        self._order: torch.Tensor

    def begin(self) -> None:
        """The first period of an episode."""
        self.state, self._memory = self.world.reset(1), None

    @torch.inference_mode()
    def action(self, period: int) -> NDArray[np.float64]:
        """What is asked for in a period: what is ordered in it, and what is owed of earlier orders."""
        decision = self._policy.decide(self.world, self.state, None, period, self._memory)
        self._order, _ = feasible(self.world, decision, self.state, period)
        self._memory = decision.memory
        asked = self._order[:, 0, 0].clone()
        for line, edge in enumerate(self._inside):
            asked[self.world.network.edge_target[edge]] += self.state.owed[line, 0, 0]
        return asked[self._rows].numpy().astype(np.float64)

    @torch.inference_mode()
    def follow(self, demand: float) -> None:
        """Take the demand of the period, and what comes of it."""
        chance = self.world.draw(1, 1, torch.Generator().manual_seed(0)).at(0)
        chance = chance._replace(demand=torch.full_like(chance.demand, demand))
        self.state, _ = self.world.step(self.state, self._order, chance)

    def stock(self) -> NDArray[np.float64]:
        """Units on hand as they stand there: what arrives before a supplier ships again is with him already."""
        held = self.state.on_hand[:, 0, 0].clone()
        for edge in self._edges[1:]:
            held[self.world.network.edge_target[edge]] += self.state.pipeline[0, edge, 0, 0]
        return held[self._rows].numpy().astype(np.float64)

    def backlog(self) -> float:
        """Units that customers are owed."""
        return float(self.world.backlog(self.state).sum())


def played(env: Any, agent: Twin, seed: int) -> float:  # noqa: ANN401
    """Profit of an episode there.

    Raises:
        RuntimeError: stock there is not what it is here.
    """
    env.reset(seed=seed)
    agent.begin()
    for period in range(PERIODS):
        env.step(agent.action(period))
        agent.follow(env.D[period, 0])
        there = np.array([env.X[period + 1, env.network.node_map[_NODES[name]]] for name in SUPPLIED])
        owed = env.U[period, 0] if env.backlog else 0.0
        if np.abs(np.append(there - agent.stock(), owed - agent.backlog())).max() > 1e-6:
            raise RuntimeError(f"period {period}: stock is {there} there and {agent.stock()} here")
    return float(env.P.sum())


def newsvendor(env: Any, seed: int) -> float:  # noqa: ANN401
    """Profit of the source's newsvendor rule, which knows the mean of demand: levels of each point on its own."""
    env.reset(seed=seed)
    graph, network = env.graph, env.network
    for period in range(PERIODS):
        action = np.zeros(len(SUPPLIED))
        for edge, (supplier, point) in enumerate(network.reorder_links):
            short = 0.1 if point == 1 else max(_price_of(graph, point) - graph.edges[supplier, point]["p"], 0.5)
            mean = sum(
                env.demand_engine.get_current_mu(period + k) for k in range(graph.edges[supplier, point]["L"] + 1)
            )
            level = mean + norm.ppf(short / (short + graph.nodes[point]["h"])) * np.sqrt(mean)
            held = env.X[period, network.node_map[point]] + env.Y[period, edge]
            owed = env.U[period - 1, 0] if point == 1 and env.backlog and period else 0.0
            action[edge] = max(level - held + owed, 0.0)
        env.step(action)
    return float(env.P.sum())


def _price_of(graph: Any, point: int) -> float:  # noqa: ANN401
    return float(max(graph.edges[point, customer]["p"] for customer in graph.successors(point)))


def oracle(env: Any, seed: int) -> float:  # noqa: ANN401
    """The most that can be earned by who knows all demand: a linear programme over what is shipped and sold."""
    env.reset(seed=seed)
    for _ in range(PERIODS):
        env.step(np.zeros(len(SUPPLIED)))
    demand, graph = env.D[:, 0], env.graph
    way, node = graph.edges, {point: graph.nodes[point] for point in graph.nodes}
    none, upto = np.zeros((PERIODS, PERIODS)), np.tri(PERIODS)  # [T, T] sums of all until t
    flows = ((1, 0), *env.network.reorder_links)  # what is sold, then what is shipped, downstream first; T numbers each
    cost, rows, limits = np.zeros(len(flows) * PERIODS), [], []

    def row(flow: int, own: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.hstack([own if each == flow else none for each in range(len(flows))])

    for flow, (supplier, point) in enumerate(flows[1:], 1):
        lead, left = way[supplier, point]["L"], np.arange(PERIODS, 0, -1)
        arrived, gone = row(flow, upto @ np.eye(PERIODS, k=-lead)), row(flow - 1, upto)
        cost += node[point]["h"] * (arrived - gone).sum(0)
        own = way[supplier, point]["g"] * np.minimum(lead, left) + node[supplier].get("o", 0.0)
        cost[flow * PERIODS :][:PERIODS] += own + (way[supplier, point]["p"] if supplier in env.network.rawmat else 0.0)
        before = arrived if point == 1 else np.vstack([0.0 * arrived[:1], arrived[:-1]])
        rows.append(gone - before)  # who supplies others ships what was there before
        limits.append(np.full(PERIODS, node[point]["I0"]))
    asked = upto @ demand if env.backlog else demand
    served = row(0, upto if env.backlog else np.eye(PERIODS))
    cost -= way[1, 0]["b"] * served.sum(0)
    cost[:PERIODS] -= way[1, 0]["p"]
    paid = way[1, 0]["b"] * asked.sum() + PERIODS * sum(node[point]["h"] * node[point]["I0"] for _, point in flows[1:])
    most = np.repeat([node[flow[0]].get("C", np.inf) for flow in flows], PERIODS)
    found = linprog(
        cost, np.vstack([*rows, served]), np.concatenate([*limits, asked]), bounds=[(0.0, each) for each in most]
    )
    return -float(found.fun + paid)


def published(name: str, *, goodwill: bool = False) -> dict[str, float]:
    """Mean profits by policy."""
    without = {of.policy: -of.cost for of in INSTANCES[name].published}
    return dict(zip(without, WITH_GOODWILL[name.removeprefix(_FAMILY)], strict=True)) if goodwill else without


def trained(name: str, scheme: str, options: argparse.Namespace) -> str:
    """A run folder of the instance."""
    run = options.out / f"{name}-{scheme}"
    if not run.exists():
        how = {"backend": "local", "threads": 1, "progress": False, "budget": f"{options.seconds:g}s"}
        firmwide.train(name, scheme=scheme, observation="everything", run=run, **how)
    return str(run)


def profits_of(name: str, options: argparse.Namespace, *, goodwill: bool) -> dict[str, NDArray[np.float64]]:
    """What is played here: profits of each seed, by policy."""
    env, firm = judge(name, goodwill=goodwill), load_firm(name)
    found = {"newsvendor rule": [newsvendor(env, seed) for seed in SEEDS]}
    if not goodwill:  # by which demand is not known beforehand
        found["oracle"] = [oracle(env, seed) for seed in SEEDS]
    ours = {rule: rule for rule in options.rules} | {of: trained(name, of, options) for of in options.schemes}
    for policy, what in ours.items():
        agent = Twin(firm, what)
        found[policy] = [played(env, agent, seed) for seed in SEEDS]
    return {policy: np.array(profits) for policy, profits in found.items()}


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", nargs="+", default=[name.removeprefix(_FAMILY) for name in INSTANCES])
    parser.add_argument("--rules", nargs="*", default=["tuned-base-stock"])
    parser.add_argument("--schemes", nargs="*", default=["pathwise", "imarl"])
    parser.add_argument("--seconds", type=float, default=60.0, help="of learning, for each run")
    parser.add_argument("--out", type=Path, default=Path("runs/gym-invmgmt"))
    options = parser.parse_args()
    if importlib.util.find_spec("gym_invmgmt") is None:
        sys.exit("gym-invmgmt is not installed, and nothing can be judged: pip install 'firmwide[gym-invmgmt]'")
    heads = "| instance | policy | profit | over the oracle's | published |\n| --- | --- | ---: | ---: | ---: |\n"
    sys.stdout.write(heads)
    scenarios = [(of, False) for of in options.instances]
    scenarios += [(of, True) for of in options.instances if of in WITH_GOODWILL]
    for name, goodwill in ((_FAMILY + of, goodwill) for of, goodwill in scenarios):
        given, found = published(name, goodwill=goodwill), profits_of(name, options, goodwill=goodwill)
        means = given | {policy: float(profits.mean()) for policy, profits in found.items()}
        for policy in sorted(means, key=lambda of: -means[of]):
            own, cells = found.get(policy), [f"{name}, goodwill" if goodwill else name, policy]
            error = 0.0 if own is None else 2 * own.std(ddof=1) / len(SEEDS) ** 0.5
            cells.append("" if own is None else f"{means[policy]:,.2f} ± {error:.2f}")
            cells += [f"{means[policy] / means['oracle']:.3f}", f"{given[policy]:,.2f}" if policy in given else ""]
            sys.stdout.write(f"| {' | '.join(cells)} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
