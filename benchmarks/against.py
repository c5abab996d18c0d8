"""This checkout beside an earlier one, lap by lap in turn: `python benchmarks/against.py ../then a1 mtma-gru firm`.

The earlier one is a checkout of c491262, whose names are known here: `git worktree add ../then c491262`. Each has a
process of its own that makes ready and waits for its turn, so that whatever else the machine does falls on both. The
actors of `firm` need all cores, of which another Ray beside them would take some: they are made anew for each of three
turns. A line says medians of wall and processor seconds of a lap, and how many times as fast this one is by each.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).resolve().parents[1]
Lap = Callable[[int], object]  # the work that is timed, given its number
_THEN = {  # what schemes with customers used by default at c491262
    "policy": {"form": "residual"},
    "ppo": {"minibatch": 4096},
    "critic": {"hidden": (128, 128), "gamma": 0.98, "gae_lambda": 0.9, "minibatch": 4096},
}
_WIDE = {"copies": 256, "ppo": {"minibatch": 4096}, "critic": {"minibatch": 4096}}


def names() -> SimpleNamespace:
    """What this process's checkout calls what is measured."""
    if Path("coordinator/schemes").is_dir():
        setup, group = import_module("coordinator.schemes.setup"), import_module("coordinator.workers.group")
        tuning, ordering = import_module("departments.play.tuning"), import_module("departments.rules.ordering")
        return SimpleNamespace(
            settings=import_module("coordinator.schemes.given_settings").settings_of,
            setup=setup.setup_of,
            local=lambda plan: group.LocalGroup(plan.factories),
            workers=import_module("coordinator.runs.train").build_workers,
            training=import_module("coordinator.learning.iterations").Training,
            wiring=import_module("coordinator.learning.settings").Wiring,
            levels=ordering.baseline_levels,
            rollouts=import_module("departments.play.compiled_rollouts").CompiledRollouts,
            window=lambda plan: import_module("departments.learning.pathwise").window_of(plan.network),
            tuned=tuning.tuned_base_stock,
            episodes=import_module("departments.play.compiled_episodes").CompiledEpisodes,
            shards=import_module("departments.play.episode").shards,
            baseline=lambda firm: ordering.BaseStock("base-stock", ordering.baseline_levels(firm)),
            settle=import_module("coordinator.workers.process").settle,
        )
    settings, rules = import_module("coordinator.settings"), import_module("departments.rules")
    options = import_module("coordinator.options")

    def settings_of(**fields: Any) -> Any:  # noqa: ANN401
        closed_loop = fields.get("scheme") in settings.LOOP_SCHEMES
        own = {name: fields.pop(name) for name in ("policy", "ppo", "critic") if name in fields} if closed_loop else {}
        if closed_loop:
            usual = settings.LoopSettings()
            own = {name: getattr(usual, name).model_dump() | given for name, given in own.items()}
            fields["loop"] = own
        return options.checked(settings.Settings, fields)

    return SimpleNamespace(
        settings=settings_of,
        setup=import_module("coordinator.plan").plan_of,
        local=lambda plan: import_module("coordinator.crew").LocalCrew(plan.blueprint),
        workers=import_module("coordinator.train").build_crew,
        training=import_module("coordinator.training").Training,
        wiring=settings.Wiring,
        levels=rules.benchmark_levels,
        rollouts=import_module("departments.rollout_compiled").CompiledRollouts,
        window=lambda plan: plan.window,
        tuned=import_module("departments.tuning").tuned_base_stock,
        episodes=import_module("departments.compiled").CompiledEpisodes,
        shards=lambda *given: import_module("departments.episode").shards(*given, 7),
        baseline=lambda firm: rules.BaseStock("base-stock", rules.benchmark_levels(firm)),
        settle=import_module("coordinator.process").settle,
    )


def _imarl(firm: str, backend: str) -> tuple[Lap, int]:
    """An iteration of the department upstream, 256 copies wide: rollout, advantages, all epochs."""
    it = names()
    loaded, settings = import_module("environment").load_firm(firm), it.settings(scheme="imarl", **_WIDE)
    plan = it.setup(loaded, settings)
    workers = it.workers(plan, it.wiring(backend=backend, environments=2), "against", lambda _: None)
    training = it.training(workers, settings, plan.base(settings), plan.streams, loaded.periods.train)
    learning = [plan.network.names[0]]

    def lap(number: int) -> None:
        training.iterate(learning, (0, 1, number), (0, 1, number + 1))

    return lap, settings.copies * loaded.periods.train


def _mtma(firm: str, backend: str, memory: str, **fields: Any) -> tuple[Lap, int]:  # noqa: ANN401
    """An iteration of all departments and the critic."""
    it = names()
    policy = fields.pop("policy", {}) | {"memory": memory}
    loaded, settings = import_module("environment").load_firm(firm), it.settings(scheme="mtma", policy=policy, **fields)
    plan = it.setup(loaded, settings)
    workers = (
        it.local(plan)
        if backend == "local"
        else it.workers(plan, it.wiring(backend=backend, environments=2), "against", lambda _: None)
    )
    training = it.training(workers, settings, plan.base(settings), plan.streams, loaded.periods.train)

    def lap(number: int) -> None:
        training.iterate(list(training.streams), (0, 0, number), (0, 0, number + 1))

    return lap, settings.copies * loaded.periods.train


def _pathwise(firm: str) -> tuple[Lap, int]:
    """A gradient through the simulator, a shard of 128 copies."""
    it, environment = names(), import_module("environment")
    loaded, settings = environment.load_firm(firm), it.settings(scheme="pathwise")
    plan, levels = it.setup(loaded, settings), it.levels(loaded)
    world = environment.World(loaded, levels)
    observer = import_module("environment.observation").Observer(world, levels, "standard")
    policies, compiled = list(plan.base(settings).values()), it.rollouts(world, observer)
    start, chance = world.reset(128), world.draw(it.window(plan), 128, world.generator(0))
    return lambda _: compiled.descend(policies, start, chance, 2.0), 128 * it.window(plan)


def _tuning(firm: str) -> tuple[Lap, int]:
    """The whole search of base-stock levels."""
    it, loaded = names(), import_module("environment").load_firm(firm)
    return lambda _: it.tuned(loaded), 1


def _rule(firm: str) -> tuple[Lap, int]:
    """16,384 fresh episodes by base-stock, chance drawn in them, in the compiled world."""
    it, environment = names(), import_module("environment")
    loaded = environment.load_firm(firm)
    world, rule = environment.World(loaded, it.levels(loaded)), it.baseline(loaded)
    play = it.episodes(world, lambda _: None).episodes
    return lambda number: [play(rule, chance) for chance in it.shards(world, 16_384, number)], 16_384 * 75


def _rules(firm: str) -> tuple[Lap, int]:
    """What a rule is before anything is learned: levels are searched, and played as above."""
    search, play = _tuning(firm)[0], _rule(firm)[0]
    return lambda number: [search(number), play(number)], 1


LINES: dict[str, tuple[Callable[..., tuple[Lap, int]], tuple[Any, ...], dict[str, Any]]] = {
    **{f"imarl-{firm}": (_imarl, (firm, "local"), {}) for firm in ("a1", "c1", "d1")},
    **{f"imarl-{firm}-actors": (_imarl, (firm, "ray"), {}) for firm in ("a1", "c1", "d1")},
    "mtma-none": (_mtma, ("closing-loop", "local", "none"), {}),
    "mtma-gru": (_mtma, ("closing-loop", "local", "gru"), {}),
    "mtma-none-same": (_mtma, ("closing-loop", "local", "none"), _THEN),
    "mtma-gru-same": (_mtma, ("closing-loop", "local", "gru"), _THEN),
    "firm-actors": (_mtma, ("firm", "ray", "gru"), {}),
    "firm-actors-none": (_mtma, ("firm", "ray", "none"), {}),
    "firm-actors-same": (_mtma, ("firm", "ray", "gru"), _THEN),
    **{f"pathwise-{firm}": (_pathwise, (firm,), {}) for firm in ("a1", "d1", "a3", "b3")},
    **{f"tuning-{firm}": (_tuning, (firm,), {}) for firm in ("a3", "b3", "c3", "a4")},
    **{f"rule-{firm}": (_rule, (firm,), {}) for firm in ("a3", "b3", "c3", "a4")},
    **{f"rules-{firm}": (_rules, (firm,), {}) for firm in ("a3", "b3", "c3", "a4")},
}


def _be_asked(line: str) -> None:
    """Make ready, then do a lap for every number that comes in, and say what it took."""
    import torch

    names().settle()
    make, given, fields = LINES[line]
    out, sys.stdout = sys.stdout, sys.stderr
    with torch.inference_mode(mode=not line.startswith(("pathwise", "mtma"))):
        lap, steps = make(*given, **fields)
        out.write(f"{steps}\n")
        out.flush()
        for number in map(int, sys.stdin):
            wall, processor = time.perf_counter(), time.process_time()
            lap(number)
            took = time.perf_counter() - wall, time.process_time() - processor
            out.write(json.dumps(took) + "\n")
            out.flush()


class _Side:
    """A checkout that is asked for laps."""

    def __init__(self, tree: Path, line: str, threads: int) -> None:
        settings = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, "-W", "ignore", str(Path(__file__).resolve()), "--asked", line]
        self._process = subprocess.Popen(
            command, cwd=tree, env=settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.steps = 0

    def ready(self) -> None:
        """Wait until it can be asked."""
        self.steps = int(self._answer())

    def lap(self, number: int) -> tuple[float, float]:
        """Ask once: wall and processor seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()
        wall, processor = json.loads(self._answer())
        return wall, processor

    def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        if not (said := self._process.stdout.readline()):
            raise RuntimeError(f"a checkout ended with status {self._process.wait()}")
        return said


def _laps(
    sides: dict[str, _Side], taken: dict[str, list[tuple[float, float]]], line: str, seconds: float, least: int
) -> int:
    """Laps in turn for so many seconds, at least so many, two of each having gone before; the steps of one."""
    warm = 0 if line.startswith(("tuning", "rules")) else 2
    try:
        for side in sides.values():
            side.ready()
        end = number = 0
        while number < warm + least or time.monotonic() < end:
            if number == warm:
                end = time.monotonic() + seconds
            for name, side in sides.items() if number % 2 else reversed(sides.items()):
                lap = side.lap(number)
                if number >= warm:
                    taken[name].append(lap)
            number += 1
    finally:
        for side in sides.values():
            side.close()
    return next(iter(sides.values())).steps


def compare(tree: Path, line: str, seconds: float, least: int, threads: int) -> dict[str, Any]:
    """Laps of both in turn, or turns of both, for so many seconds, at least so many laps."""
    trees = {"then": tree, "now": HERE}
    taken = {name: list[tuple[float, float]]() for name in trees}
    turns = [["now"], ["then"], ["then"], ["now"], ["now"], ["then"]] if line.startswith("firm") else [["now", "then"]]
    for names in turns:
        sides = {name: _Side(trees[name], line, threads) for name in names}
        steps = _laps(sides, taken, line, seconds / max(len(turns) // 2, 1), least)
    middle = {name: [statistics.median(kind) for kind in zip(*laps, strict=True)] for name, laps in taken.items()}
    rates = {name: steps / wall for name, (wall, _) in middle.items()}
    processor = [steps / max(used, 1e-9) for _, used in middle.values()]
    return {
        "line": line,
        "threads": threads,
        "laps": len(taken["now"]),
        "steps_per_second": {name: round(rate, 2) for name, rate in rates.items()},
        "times_as_fast": round(rates["now"] / rates["then"], 2),
        "by_processor_time": round(processor[1] / processor[0], 2),
        "seconds": {name: [round(part, 4) for part in parts] for name, parts in middle.items()},
    }


def chosen(words: Iterable[str]) -> list[str]:
    """Lines in which one of the words stands, in their order; all if there are none."""
    words = list(words)
    return [line for line in LINES if not words or any(word in line for word in words)]


def main() -> None:
    """Measure the lines that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", nargs="?", type=Path, help="the earlier checkout")
    parser.add_argument("lines", nargs="*", help=f"words of lines; default: all of {', '.join(LINES)}")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each line")
    parser.add_argument("--laps", type=int, default=3, help="of each line at least")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of code that can use more than one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add each line there; what is there is not repeated")
    parser.add_argument("--asked", choices=LINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.asked:
        _be_asked(options.asked)
        return
    if options.tree is None:
        parser.error("name the earlier checkout")
    there = options.json.read_text().splitlines() if options.json and options.json.is_file() else []
    known = {json.loads(said)["line"] for said in there}
    for line in chosen(options.lines):
        if line in known:
            continue
        found = json.dumps(compare(options.tree.resolve(), line, options.seconds, options.laps, options.threads))
        print(found, flush=True)
        if options.json:
            with options.json.open("a") as to:
                to.write(found + "\n")


if __name__ == "__main__":
    main()
