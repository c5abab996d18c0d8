"""How fast departments and critic learn: the updates alone, and IMARL end to end in one process and through actors."""

from __future__ import annotations

import functools
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from world_speed import seconds

from coordinator.critic.value_function import CriticConfig, values_of
from coordinator.learning.iterations import Training
from coordinator.learning.settings import Wiring
from coordinator.runs.train import build_workers
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.setup import setup_of
from coordinator.workers.group import LocalGroup, WorkerGroup
from departments.learning.pathwise import window_of
from departments.learning.ppo import PPOConfig
from departments.numerics.memory import MemoryNetwork
from departments.play.compiled_rollouts import CompiledRollouts
from departments.play.gradients import descend
from departments.policies.policy import PolicyConfig
from departments.rules.ordering import baseline_levels
from environment import World, load_firm
from environment.observation import Observer

_FIRM, _LEARNING = "a1", "warehouse"


def update_speed(device: str, report: Callable[[str], None]) -> dict[str, Any]:
    """Passes over samples per second of the PPO update and of the critic's, on one rollout of the default settings."""
    settings = settings_of(device=device)
    firm = load_firm(_FIRM)
    plan = setup_of(firm, settings)
    workers = LocalGroup(plan.factories)
    samples = settings.copies * firm.periods.train
    (world,), department = workers.environments, workers.departments[_LEARNING]
    world.call("publish", *plan.base(settings).values())
    streams, shard = [plan.streams[_LEARNING]], ([_LEARNING], settings.copies, (0,))
    values = values_of(workers.critic.call("calibrate", streams, world.call("rewards", *shard)))
    seen, lesson = world.call("rollout", [_LEARNING], streams, values, *shard[1:], returns=2)

    def criticise() -> None:
        workers.critic.call("learn", streams, lesson)

    def learn() -> None:
        department.call("learn", (0,), seen)

    ppo, critic = settings.ppo_of(_LEARNING), settings.critic
    taken = {
        "department": (ppo.epochs, seconds(learn, device, 7)),
        "critic": (critic.epochs, seconds(criticise, device, 7)),
        "both": (ppo.epochs, seconds(lambda: (criticise(), learn()), device, 7)),
    }
    found: dict[str, Any] = {"samples": samples, "minibatch": ppo.minibatch, "epochs": ppo.epochs}
    for name, (epochs, times) in taken.items():
        middle = statistics.median(times)
        found[name] = {
            "milliseconds": round(1e3 * middle, 1),
            "sample_passes_per_second": round(samples * epochs / middle),
        }
    report(f"updates: {found}")
    return found


def gradient_speed(report: Callable[[str], None], repeats: int = 9) -> dict[str, Any]:
    """Milliseconds of a gradient through the simulator, a shard of 128 copies, in PyTorch and in C++ by turns."""
    found: dict[str, Any] = {}
    for name, observation in itertools.product(("a1", "d1"), ("downstream", "pipeline")):
        settings = settings_of(scheme="pathwise", policy=PolicyConfig(observation=observation))  # type: ignore[arg-type]
        firm = load_firm(name)
        plan = setup_of(firm, settings)
        world = World(firm, baseline_levels(firm))
        observer = Observer(world, baseline_levels(firm), "standard")
        policies, compiled = list(plan.base(settings).values()), CompiledRollouts(world, observer)
        start, chance = world.reset(128), world.draw(window_of(plan.network), 128, world.generator(0))
        ways: dict[str, Callable[[], object]] = {
            "pytorch": lambda: descend(world, observer, policies, start, chance, 2.0),  # noqa: B023
            "compiled": lambda: compiled.descend(policies, start, chance, 2.0),  # noqa: B023
        }
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(repeats + 1):  # the first compiles
            for way, go in ways.items():
                began = time.perf_counter()
                go()
                taken[way].append(1e3 * (time.perf_counter() - began))
        found[f"{name} {observation}"] = {way: round(statistics.median(times[1:]), 1) for way, times in taken.items()}
        report(f"gradient of {name}, {observation}: {found[f'{name} {observation}']} milliseconds")
    return found


def memory_speed(report: Callable[[str], None], iterations: int = 5) -> dict[str, Any]:
    """Environment steps per second of MTMA on closing-loop in one process, by what the departments remember with.

    A step is rolled out, valued, and learned from by both departments in all epochs. Kinds take turns, iteration by
    iteration, so that whatever else the machine does falls on all.
    """
    firm = load_firm("closing-loop")
    learners = {}
    for kind in ("none", "stack", "gru"):
        settings = settings_of(scheme="mtma", policy={"memory": kind})
        plan = setup_of(firm, settings)
        workers = LocalGroup(plan.factories)
        learners[kind] = Training(workers, settings, plan.base(settings), plan.streams, firm.periods.train)
    taken: dict[str, list[float]] = {kind: [] for kind in learners}
    for number in range(iterations + 2):
        for kind, training in learners.items():
            start = time.perf_counter()
            training.iterate(list(training.streams), (0, 0, number))
            taken[kind].append(time.perf_counter() - start)
    steps = learners["none"].settings.copies * firm.periods.train
    found = {kind: round(steps / statistics.median(times[2:])) for kind, times in taken.items()}
    shares = {kind: round(speed / found["none"], 3) for kind, speed in found.items()}
    report(f"memory: {found}, share of those without {shares}")
    return {"firm": firm.name, "steps_per_second": found, "share_of_none": shares}


def peak_speed(report: Callable[[str], None], repeats: int = 9) -> dict[str, Any]:
    """How near updates of MTMA with gated memory come to the processor's peak, one thread.

    The peak is that of a product of 512 x 512 matrices, in turn with the updates. Counted are the multiplications and
    additions that the networks need: forward, and backward by parameters and by what is not an observation.
    """
    found: dict[str, Any] = {}
    matrix = torch.randn(512, 512)
    for name in ("closing-loop", "firm"):
        settings = settings_of(scheme="mtma", policy={"memory": "gru"}, ppo={"target_kl": 1e9})
        firm = load_firm(name)
        plan = setup_of(firm, settings)
        workers = LocalGroup(plan.factories)
        (world,), learning, streams = workers.environments, list(plan.specs), list(plan.streams.values())
        world.call("publish", *plan.base(settings).values())
        shard = settings.copies, (0,)
        values = values_of(workers.critic.call("calibrate", streams, world.call("rewards", learning, *shard)))
        *slices, lesson = world.call("rollout", learning, streams, values, *shard, returns=len(learning) + 1)
        samples, features = len(lesson[0]), lesson[0].shape[1]
        steps: dict[str, tuple[Callable[[], object], float]] = {}
        for department, seen in zip(learning, slices, strict=True):
            network, epochs = plan.specs[department].network, settings.ppo_of(department).epochs
            if isinstance(network, MemoryNetwork):
                flop = samples * epochs * _flop(network.widths, network.observed, network.size)
                worker = workers.departments[department]
                steps[department] = functools.partial(worker.call, "learn", (0,), seen), flop
        widths = [features, *settings.critic.hidden, max(streams) + 1]
        flop = samples * settings.critic.epochs * _flop(widths, features, 0)
        steps["critic"] = functools.partial(workers.critic.call, "learn", streams, lesson), flop
        taken: dict[str, list[float]] = {step: [] for step in (*steps, "product")}
        for _ in range(repeats + 2):
            for step, (go, _) in steps.items():
                taken[step].append(_seconds(go))
                taken["product"].append(_seconds(lambda: matrix @ matrix))
        middle = {step: statistics.median(times[2:]) for step, times in taken.items()}
        peak = 2.0 * 512**3 / middle.pop("product")
        total = sum(flop for _, flop in steps.values())
        found[name] = {
            "peak_gflop_per_second": round(peak / 1e9, 1),
            "mflop_per_step": round(total / samples / 1e6, 3),
            "share_of_peak": round(total / sum(middle.values()) / peak, 3),
            "by_part": {step: round(steps[step][1] / middle[step] / peak, 3) for step in steps},
            "milliseconds": {step: round(1e3 * seconds, 1) for step, seconds in middle.items()},
        }
        report(f"peak, {name}: {found[name]}")
    return found


def _flop(widths: Sequence[int], observed: int, units: int) -> float:
    """Of a sample through a perceptron of these widths above a gated memory of so many units, forward and backward."""
    layers = sum(rows * columns for columns, rows in itertools.pairwise(widths))
    gates = 3 * units * (observed + units)
    blind = observed * (widths[1] + 3 * units)  # nobody asks for the gradient by observations
    return 2.0 * (3 * (layers + gates) - blind)


def _seconds(step: Callable[[], object]) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def training_speed(report: Callable[[str], None], iterations: int = 20) -> dict[str, Any]:
    """Environment steps per second of the learning department: rollout, advantages, all epochs of PPO, publishing.

    Of rollouts as wide as they were measured to be fastest; narrower ones, the default, learn more from each step.
    """
    local = _steps_per_second(Wiring(backend="local", environments=2), iterations)
    report(f"one process: {local}")
    actors = _steps_per_second(Wiring(backend="ray", environments=2), iterations)
    report(f"actors: {actors}")
    ratio = actors["steps_per_second"] / local["steps_per_second"]
    return {"firm": _FIRM, "one_process": local, "actors": actors, "ratio": round(ratio, 3)}


def _steps_per_second(wiring: Wiring, iterations: int) -> dict[str, float]:
    settings = settings_of(copies=256, ppo=PPOConfig(minibatch=4096), critic=CriticConfig(minibatch=4096))
    firm = load_firm(_FIRM)
    start = time.perf_counter()
    plan = setup_of(firm, settings)
    workers: WorkerGroup = build_workers(plan, wiring, "benchmark", lambda _: None)
    try:
        training = Training(workers, settings, plan.base(settings), plan.streams, firm.periods.train)
        began = time.perf_counter() - start
        taken = []
        for number in range(iterations + 3):
            start = time.perf_counter()
            training.iterate([_LEARNING], (0, 1, number), (0, 1, number + 1))
            taken.append(time.perf_counter() - start)
    finally:
        workers.close()
    steps = settings.copies * firm.periods.train
    middle = statistics.median(taken[3:])
    return {
        "start_up_seconds": round(began, 2),
        "steps_per_iteration": steps,
        "milliseconds_per_iteration": round(1e3 * middle, 1),
        "steps_per_second": round(steps / middle),
        "best": round(steps / min(taken[3:])),
    }
