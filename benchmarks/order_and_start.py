"""In which order departments learn, and from where: `python benchmarks/order_and_start.py a1 b1 c1`.

Figure 9 of Ziegner et al. (arXiv 2503.18201) and the question that it leaves open. IMARL trains one department at a
time, downstream first, upstream first, or greedily where most is expected to be gained; or side by side, upstream
first, all on the list that are no neighbours. Networks add to base-stock levels, those of decomposition-aggregation or
tuned ones; they start by adding nothing, or with random weights (`base_policy: random`), far from anything sensible.
Every run has the same number of environment steps, and a turn at most half of what each department would have of them.

A run is a line of json in `--out`, one that is there is not run again: cost of the firm's saved policies whenever one
is accepted, all on the same fresh episodes, over environment steps and seconds of training (tuning lies outside).
What is there of the firms that are asked for is told as a markdown table, and drawn as `order-and-start.png` beside
the lines, cost over steps by order and start.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

from coordinator.evaluation.evaluate import evaluate
from coordinator.learning.settings import Wiring
from coordinator.runs.firm_policies import policy_of
from coordinator.runs.folder import RunFolder
from coordinator.runs.train import train
from coordinator.runs.watcher import Watchers
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.setup import scaling_of
from coordinator.storage.files import write_picture
from coordinator.workers.process import settle
from departments.play.tuning import quiet, tuned_base_stock
from departments.policies.firm_policy import FirmPolicy
from departments.rules.ordering import baseline_levels
from environment import Firm, World, load_firm
from environment.observation import Observer

SCENARIOS = ("a1", "b1", "c1", "d1", "a2", "a3", "a4", "b2", "b3", "b4", "c2", "c3", "c4")
ORDERS: dict[str, dict[str, Any]] = {
    "downstream first": {"order": "downstream-first", "parallel": False},
    "upstream first": {"order": "upstream-first", "parallel": False},
    "greedy": {"order": "greedy", "parallel": False},
    "side by side": {"order": "upstream-first", "parallel": True},
}
STARTS: dict[str, dict[str, Any]] = {
    "benchmark": {"base_policy": "benchmark"},
    "tuned": {"base_policy": "tuned"},
    "random": {"base_policy": "random"},
}
_COPIES, _SELECTIONS, _TURNS = 16, 10, 2  # of a rollout; iterations from one to the next; that everyone may have
_POINTS = 100  # of a curve
_NEAR, _FAR = 0.02, 10.0  # share over the least cost that is near it; times it, from where on nobody counts in percent


def run(firm: Firm, order: str, start: str, options: argparse.Namespace, tuned: np.ndarray) -> dict[str, Any]:
    """One training, as a line of `--out`."""
    given = {"scheme": "imarl", "seed": options.seed, "steps": options.steps, "copies": _COPIES}
    given |= {"select_every": _SELECTIONS, "selection_episodes": 1024, "acceptance_episodes": 2048}
    turns = ORDERS[order] | {"share": 1.0 / (_TURNS * len(firm.names))}
    settings = settings_of(given | STARTS[start], imarl=turns)
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(Path(place) / "run")
        wiring = Wiring(backend="local", threads=1)
        train(firm, settings, wiring, folder.path, Watchers(()), base=tuned if start == "tuned" else None)
        return {"firm": firm.name, "order": order, "start": start, "seed": options.seed} | told(folder, options)


def told(folder: RunFolder, options: argparse.Namespace) -> dict[str, Any]:
    """Costs of what was saved, from the first policies to the last, over steps and seconds."""
    firm, metrics, events = folder.firm(), folder.table("metrics.csv"), folder.table("events.csv")
    world, levels = World(firm, baseline_levels(firm)), folder.base_levels()
    observer = Observer(world, levels, scaling_of(firm, folder.settings())).until(world.firm.periods.evaluate - 1)
    acting = {name: policy_of(folder, name, 0) for name in firm.names}
    steps, seconds, policies = [0.0], [0.0], [FirmPolicy(world, observer, list(acting.values()))]
    at = metrics.groupby("iteration").env_steps.last()
    for event in events[events.event == "accepted"].itertuples():
        acting |= {event.department: policy_of(folder, event.department, int(event.version))}
        if steps[-1] == at[event.iteration]:  # of several departments that had a turn together the last one counts
            policies.pop()
            del steps[-1], seconds[-1]
        steps.append(float(at[event.iteration]))
        seconds.append(round(float(event.seconds), 2))
        policies.append(FirmPolicy(world, observer, list(acting.values())))
    named = {str(number): policy for number, policy in enumerate(policies)}
    found = evaluate(firm, named, episodes=options.episodes, compiled=quiet)
    costs = [found.mean(name) for name in named]
    ends = {"total_steps": float(at.iloc[-1]), "total_seconds": round(float(metrics.seconds.iloc[-1]), 2)}
    accepted = int((events.event == "accepted").sum())
    curve = {"steps": steps, "seconds": seconds, "cost": [round(cost, 2) for cost, _ in costs]}
    return {
        "budget": options.steps,
        **ends,
        "turns": int(metrics.job.max()),
        "accepted": accepted,
        **curve,
        "se": costs[-1][1],
    }


def table(lines: list[dict[str, Any]]) -> str:
    """Costs at the end by firm, start and order, with the seconds of the runs; the least of a firm is bold."""
    rows = ["| firm | start | before | " + " | ".join(ORDERS) + " | seconds |"]
    rows.append("| --- | --- |" + " ---: |" * (len(ORDERS) + 2))
    for firm in dict.fromkeys(line["firm"] for line in lines):
        of = {(line["start"], line["order"]): line for line in lines if line["firm"] == firm}
        least = min(line["cost"][-1] for line in of.values())
        for start in STARTS:
            runs = {order: of[start, order] for order in ORDERS if (start, order) in of}
            if not runs:
                continue
            cells = [_cell(runs.get(order), least) for order in ORDERS]
            taken = [f"{run['total_seconds']:.0f}" for run in runs.values()]
            before = f"{next(iter(runs.values()))['cost'][0]:,.0f}"
            rows.append(f"| {firm} | {start} | {before} | " + " | ".join(cells) + f" | {', '.join(taken)} |")
    return "\n".join(rows)


def _cell(line: dict[str, Any] | None, least: float) -> str:
    if line is None:
        return "–"
    cost = f"{line['cost'][-1]:,.0f} ± {2 * line['se']:,.0f}"
    return f"**{cost}**" if line["cost"][-1] == least else cost


def shares(lines: list[dict[str, Any]]) -> str:
    """Cost over the least of its firm at parts of the budget, and seconds until it is near: medians over firms.

    Of firms all of whose runs are there.
    """
    firms = [firm for firm in dict.fromkeys(line["firm"] for line in lines) if _whole(lines, firm)]
    least = {firm: min(line["cost"][-1] for line in lines if line["firm"] == firm) for firm in firms}
    parts = (0.25, 0.5, 1.0)
    heads = [f"{100 * part:.0f}% of the steps" for part in parts]
    rows = [f"| start | order | {' | '.join(heads)} | within {_NEAR:.0%} | seconds until then |"]
    rows.append("| --- | --- |" + " ---: |" * (len(parts) + 2))
    for start in STARTS if firms else ():
        for order in ORDERS:
            own = [line for line in lines if (line["start"], line["order"]) == (start, order) and line["firm"] in firms]
            over = [
                float(np.median([_after(line, part * line["budget"]) / least[line["firm"]] for line in own]))
                for part in parts
            ]
            near = [np.array(line["cost"]) <= (1.0 + _NEAR) * least[line["firm"]] for line in own]
            taken = [line["seconds"][np.argmax(there)] for line, there in zip(own, near, strict=True) if there.any()]
            until = f"{np.median(taken):.0f}" if taken else "–"
            told = " | ".join(f"{x:,.0f} x" if x > _FAR else f"{100 * (x - 1.0):+.1f}%" for x in over)
            rows.append(f"| {start} | {order} | {told} | {len(taken)} of {len(own)} | {until} |")
    return f"Over the least of each firm, medians over {', '.join(firms) or 'none'}:\n\n" + "\n".join(rows)


def _whole(lines: list[dict[str, Any]], firm: str) -> bool:
    return {(line["start"], line["order"]) for line in lines if line["firm"] == firm} == {
        (start, order) for start in STARTS for order in ORDERS
    }


def _after(line: dict[str, Any], steps: float) -> float:
    """Cost of what is saved after so many steps; the last iteration, which goes beyond the budget, counts."""
    reached = np.minimum(line["steps"], line["budget"])
    return float(line["cost"][np.searchsorted(reached, steps, side="right") - 1])


def picture(lines: list[dict[str, Any]], place: Path) -> None:
    """Cost over steps, a panel for each firm and start, a line for each order."""
    from matplotlib.figure import Figure

    firms = list(dict.fromkeys(line["firm"] for line in lines))
    figure = Figure(figsize=(3.6 * len(STARTS), 2.1 * len(firms) + 0.6), layout="constrained")
    panels = figure.subplots(len(firms), len(STARTS), squeeze=False, sharex=True)
    for row, firm in zip(panels, firms, strict=True):
        for axes, start in zip(row, STARTS, strict=True):
            for colour, order in enumerate(ORDERS):
                for line in lines:
                    if (line["firm"], line["start"], line["order"]) == (firm, start, order):
                        grid = np.linspace(0.0, line["budget"], _POINTS)
                        costs = [_after(line, steps) for steps in grid]
                        axes.step(grid / 1e6, costs, where="post", color=f"C{colour}", linewidth=1.4, label=order)
            axes.set_visible(axes.has_data())
            if start == "random":
                axes.set_yscale("log")
            axes.set_title(f"{firm}, from {start}", fontsize=9)
            axes.tick_params(which="both", labelsize=7)
    for axes in panels[-1]:
        axes.set_xlabel("environment steps, millions", fontsize=8)
    for row in panels:
        row[0].set_ylabel("cost an episode", fontsize=8)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(ORDERS), fontsize=8)
    write_picture(place, figure)


def main() -> None:
    """Run what is missing, then tell and draw what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("firms", nargs="*", default=SCENARIOS, help="of the paper's scenarios; default: all")
    parser.add_argument("--steps", type=float, default=1e6, help="environment steps of a run")
    parser.add_argument("--episodes", type=int, default=4096, help="fresh ones, on which costs are told")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/order-and-start.jsonl"))
    parser.add_argument("--table", action="store_true", help="run nothing, tell what is there")
    options = parser.parse_args()
    if odd := sorted(set(options.firms) - set(SCENARIOS)):
        parser.error(f"firms must be of {', '.join(sorted(SCENARIOS))}, got {odd[0]}")
    settle()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.touch()
    key = ("firm", "order", "start", "seed", "budget")

    def known() -> list[dict[str, Any]]:
        return [json.loads(line) for line in options.out.read_text().splitlines()]

    for name in () if options.table else options.firms:
        done = {tuple(line[part] for part in key) for line in known()}
        missing = [
            (order, start)
            for start in STARTS
            for order in ORDERS
            if (name, order, start, options.seed, options.steps) not in done
        ]
        if not missing:
            continue
        firm = load_firm(name)
        tuned = tuned_base_stock(firm).levels
        for order, start in missing:
            line = run(firm, order, start, options, tuned)
            with options.out.open("a") as lines:
                lines.write(json.dumps(line) + "\n")
            sys.stderr.write(f"{name}, {order}, from {start}: {line['cost'][-1]:,.1f} ± {line['se']:.1f}\n")
    same = options.seed, options.steps
    asked = [line for line in known() if line["firm"] in options.firms and (line["seed"], line["budget"]) == same]
    asked.sort(key=lambda line: SCENARIOS.index(line["firm"]))
    if asked:
        sys.stdout.write(f"{table(asked)}\n\n{shares(asked)}\n")
        picture(asked, options.out.parent / "order-and-start.png")


if __name__ == "__main__":
    main()
