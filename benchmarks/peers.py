"""Ours beside its peers on a1, one after the other, each in a process of its own; needs the extra `peers`.

    python benchmarks/peers.py --budget 300 --write

prints the tables and, with --write, puts them into docs/peers.md, where it says what is compared. A peer that is not
installed is named and left out. The machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import math
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a checkout that is not installed works too
PAGE = ROOT / "docs" / "peers.md"
BEGIN, END = "<!-- written by benchmarks/peers.py -->", "<!-- end -->"
GRACE = 300  # seconds for imports, compilation and evaluation beyond a peer's budget
TARGETS = {
    "stable-baselines3": 40.0,
    "rllib": 60.0,
    "jax": 4.0,
    "jax-wide": 4.0,
    "jax-widest": 4.0,
}  # steps per second in training, ours over theirs


class Peer(NamedTuple):
    """Something to run: modules that must be there, what the table says, module and function."""

    needs: tuple[str, ...]
    title: str
    module: str
    function: str
    arguments: tuple[Any, ...] = ()


TRAININGS = {
    "ours": Peer(("ray",), "IMARL, Ray actors", "peer_ours", "train"),
    "ours-alone": Peer(("ray",), "IMARL, Ray actors, one department at a time", "peer_ours", "train", ("ray", False)),
    "ours-wide": Peer(("ray",), "IMARL, Ray actors, 1,024 copies", "peer_ours", "train", ("ray", True, "wide")),
    "ours-wide-alone": Peer(
        ("ray",),
        "IMARL, Ray actors, 1,024 copies, one department at a time",
        "peer_ours",
        "train",
        ("ray", False, "wide"),
    ),
    "ours-local": Peer((), "IMARL, one process", "peer_ours", "train", ("local",)),
    "ours-local-alone": Peer(
        (), "IMARL, one process, one department at a time", "peer_ours", "train", ("local", False)
    ),
    "ours-local-wide": Peer((), "IMARL, one process, 1,024 copies", "peer_ours", "train", ("local", True, "wide")),
    "seeing-imarl": Peer((), "IMARL, one process, all positions", "peer_ours", "train", ("local", True, "seeing")),
    "seeing-sarl": Peer((), "SARL, one process, 16 copies", "peer_ours", "train", ("local", True, "one-agent", "sarl")),
    "seeing-pathwise": Peer(
        (), "pathwise, one process, all positions", "peer_ours", "train", ("local", True, "seeing", "pathwise")
    ),
    "stable-baselines3": Peer(
        ("stable_baselines3",), "stable-baselines3 PPO, 16 `FirmEnv`", "peer_stable_baselines", "train"
    ),
    "stable-baselines3-vector": Peer(
        ("stable_baselines3",),
        "stable-baselines3 PPO, `FirmVectorEnv` of 256",
        "peer_stable_baselines",
        "train",
        (True,),
    ),
    "rllib": Peer(("ray.rllib", "tree", "pettingzoo"), "RLlib PPO, 32 `FirmParallelEnv`", "peer_rllib", "train"),
    "jax": Peer(("jax",), "PPO jitted as a whole in JAX, 4 copies", "jax_ppo", "train", ("published",)),
    "jax-small": Peer(("jax",), "PPO jitted as a whole in JAX, 16 copies", "jax_ppo", "train", ("small",)),
    "jax-wide": Peer(("jax",), "PPO jitted as a whole in JAX, 256 copies", "jax_ppo", "train", ("wide",)),
    "jax-widest": Peer(("jax",), "PPO jitted as a whole in JAX, 1,024 copies", "jax_ppo", "train", ("widest",)),
}
SIMULATIONS = {
    "world": Peer((), "our world, eager and compiled, and in JAX, in turn", "peer_world", "worlds"),
    "stockpyl": Peer(("stockpyl",), "stockpyl", "peer_world", "in_stockpyl"),
}
RECURRENT = {
    "closed-loop": Peer(("jax",), "one core", "jax_mtma", "side_by_side", (1,)),
    "closed-loop-cores": Peer(("jax",), "all cores", "jax_mtma", "side_by_side"),
}
PEERS = TRAININGS | SIMULATIONS | RECURRENT


def missing(peer: Peer) -> list[str]:
    """The modules that a peer needs and that are not installed."""

    def absent(name: str) -> bool:
        try:
            return importlib.util.find_spec(name) is None
        except ModuleNotFoundError:
            return True

    return [name for name in peer.needs if absent(name)]


def result_of(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any] | None:
    """What a peer found in a process of its own; None if it is not there, fails or takes too long."""
    peer, say = PEERS[name], sys.stderr.write
    if absent := missing(peer):
        say(f"{name}: left out, {', '.join(absent)} not installed (pip install 'firmwide[peers]')\n")
        return None
    say(f"{name} ...\n")
    command = [sys.executable, "-W", "ignore", __file__, "--run", name, "--seed", str(seed)]
    command += ["--budget", str(options.budget), "--form", options.form]
    settings = os.environ | {"OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(command, stdout=subprocess.PIPE, env=settings, text=True, start_new_session=True)
    try:
        printed, _ = running.communicate(timeout=options.budget + GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        say(f"{name}: left out, it took more than {options.budget + GRACE:.0f} seconds\n")
        return None
    if running.returncode:
        say(f"{name}: left out, it ended with status {running.returncode}\n")
        return None
    found: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    say(f"{name}: {found}\n")
    return found


def run(name: str, budget: float, form: str, seed: int) -> dict[str, Any]:
    """A peer in this process."""
    from coordinator.workers.process import settle

    settle()
    peer = PEERS[name]
    function: Callable[..., dict[str, Any]] = getattr(importlib.import_module(peer.module), peer.function)
    if name not in TRAININGS:
        return function(*peer.arguments)
    return function(budget, form, *peer.arguments, seed=seed)


def table(rows: list[list[str]]) -> list[str]:
    """Rows as lines of markdown, the first the header."""
    return ["| " + " | ".join(line) + " |" for line in [rows[0], ["---"] * len(rows[0]), *rows[1:]]]


def number(found: dict[str, Any], key: str, digits: int = 0) -> str:
    """A figure, or a dash where there is none."""
    return f"{found[key]:,.{digits}f}" if key in found else "-"


def training_table(results: dict[str, dict[str, Any]]) -> list[str]:
    """Speed, time to the benchmark and to what is good, cost."""
    from judging import GOAL

    header = ["training", "steps a second"]
    for margin in (1, 5):
        header += [f"seconds to save {margin}% of DA", f"steps to save {margin}%"]
    header += [f"seconds to {GOAL:,.0f}", "cost", "seconds trained", "seconds to start or compile"]
    rows = [header]
    for name in filter(results.__contains__, TRAININGS):
        found = results[name]
        ready = number(found, "start_up" if "start_up" in found else "compile_seconds", 1)
        reached = []
        for margin in (1, 5):
            reached += [number(found, f"seconds_to_{margin}", 1), number(found, f"steps_to_{margin}")]
        cost = f"{found['cost']:,.0f} ± {found['standard_error']:.1f}"
        rows.append(
            [
                *(TRAININGS[name].title, number(found, "steps_per_second"), *reached),
                *(number(found, "seconds_to_goal", 1), cost, f"{found['seconds']:.0f}", ready),
            ]
        )
    return table(rows)


def simulation_table(results: dict[str, dict[str, Any]]) -> list[str]:
    """Steps per second by firm, and what compiling took."""
    firms = ("a1", "c1", "d1", "b3", "c3")
    rows = [["simulation alone, one core", *(f"{firm}, steps a second" for firm in firms), "seconds to compile"]]
    simulated = dict(results.get("world", {}))
    if "stockpyl" in results:
        simulated["stockpyl"] = {"a1": results["stockpyl"]}
    for title, by_firm in simulated.items():
        speed = [number(by_firm.get(firm, {}), "steps_per_second") for firm in firms]
        compiled = [f"{found['compile_seconds']:.1f}" for found in by_firm.values() if "compile_seconds" in found]
        rows.append([title, *speed, "-" if title == "our world" else ", ".join(compiled) or "-"])
    return table(rows)


def recurrent_table(results: dict[str, dict[str, Any]]) -> list[str]:
    """MTMA with gated memory, ours and in JAX, by turns in one process."""
    header = ["MTMA with gated memory, closing-loop", "ours, steps a second", "in JAX", "times as fast"]
    rows = [[*header, "seconds to compile"]]
    for name in filter(results.__contains__, RECURRENT):
        found = results[name]
        speeds = [number(found[who], "steps_per_second") for who in ("ours", "jax")]
        rows.append(
            [RECURRENT[name].title, *speeds, f"{found['ratio']:.1f}", number(found["jax"], "compile_seconds", 1)]
        )
    return table(rows)


def verdicts(results: dict[str, dict[str, Any]]) -> list[str]:
    """Steps a second, ours over theirs, beside what was aimed at."""
    mine = [name for name in TRAININGS if name.startswith("ours") and name in results]
    theirs = [name for name in TARGETS if name in results]
    if not mine or not theirs:
        return []
    rows = [["times as many steps a second as", *(TRAININGS[name].title for name in theirs)]]
    rows.append(["aimed at", *(f"{TARGETS[name]:.0f}" for name in theirs)])
    for name in mine:
        ratios = [results[name]["steps_per_second"] / results[other]["steps_per_second"] for other in theirs]
        rows.append([TRAININGS[name].title, *(f"{ratio:.1f}" for ratio in ratios)])
    return table(rows)


def page(results: dict[str, dict[str, Any]], options: argparse.Namespace, load: float) -> str:
    """All tables."""
    from speed import machine

    found = machine("cpu")
    cost = next((result["benchmark"] for result in results.values() if "benchmark" in result), None)
    medians = "speeds and seconds to a good cost are medians"
    turns = f", in {options.repeat} turns, a seed each ({medians})" if options.repeat > 1 else ", one seed"
    lines = [
        f"Measured {datetime.datetime.now(datetime.UTC):%Y-%m-%d} on {found['cores']} cores ({found['cpu']}), torch "
        f"{found['torch']}; `--budget {options.budget:g} --form {options.form}`{turns}; load average before the "
        f"start {load:.1f}" + (": the machine had other work, so figures are provisional." if load > 0.5 else "."),
        "",
    ]
    if cost is not None:
        lines += [f"Decomposition-aggregation (DA) costs {cost:,.0f} on the same episodes.", ""]
    if TRAININGS.keys() & results.keys():
        lines += [*training_table(results), "", *verdicts(results), ""]
    if SIMULATIONS.keys() & results.keys():
        lines += [*simulation_table(results), ""]
    if RECURRENT.keys() & results.keys():
        lines += recurrent_table(results)
    return "\n".join(lines).strip() + "\n"


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="NAME", help=", ".join(PEERS))
    parser.add_argument("--budget", type=float, default=300.0, help="seconds of training for each")
    parser.add_argument(
        "--repeat",
        type=int,
        default=1,
        metavar="N",
        help="take turns N times, with seeds 0 to N - 1; speeds and seconds to a good cost are medians",
    )
    parser.add_argument("--form", choices=("residual", "plain"), default="residual", help="of actions, for everyone")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.relative_to(ROOT)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--run", choices=PEERS, metavar="NAME", help="one peer in this process, as json")
    parser.add_argument("--seed", type=int, default=0, help="of that peer's training")
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(options.run, options.budget, options.form, options.seed)))
        return
    load = os.getloadavg()[0]
    turns = [{name: result_of(name, seed, options) for name in options.peers} for seed in range(options.repeat)]
    results: dict[str, dict[str, Any]] = {}
    for name in options.peers:
        found = [result for turn in turns if (result := turn[name]) is not None]
        if found and name in TRAININGS:
            speeds = [result["steps_per_second"] for result in found]
            results[name] = found[0] | {"speeds": speeds, "steps_per_second": statistics.median(speeds)}
            goals = [result.get("seconds_to_goal", math.inf) for result in found]
            if (middle := statistics.median(goals)) < math.inf:
                results[name] |= {"goals": goals, "seconds_to_goal": middle}
            else:
                results[name].pop("seconds_to_goal", None)
        elif found:
            results[name] = found[0]
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    text = page(results, options, load)
    if options.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}{END}{rest.partition(END)[2]}")
    print(text, end="")


if __name__ == "__main__":
    main()
