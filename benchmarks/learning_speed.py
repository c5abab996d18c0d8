"""How fast departments and critic learn: the updates alone, and IMARL end to end in one process and through actors."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from world_speed import seconds

from coordinator.cluster import Crew, LocalCrew
from coordinator.plan import plan_of
from coordinator.settings import Settings, Wiring
from coordinator.train import build_crew
from coordinator.training import Training
from environment import load_firm

_FIRM, _LEARNING = "a1", "warehouse"


def update_speed(device: str, report: Callable[[str], None]) -> dict[str, Any]:
    """Passes over samples per second of the PPO update and of the critic's, on one rollout of `Settings()`."""
    settings = Settings(device=device)
    firm = load_firm(_FIRM)
    plan = plan_of(firm, settings)
    crew = LocalCrew(plan.blueprint)
    samples = settings.copies * firm.periods.train
    (world,), department = crew.environments, crew.departments[_LEARNING]
    world.call("publish", *plan.base(settings).values())
    seen, known = world.call("rollout", [_LEARNING], settings.copies, (0,), None, returns=2)
    streams = [plan.streams[_LEARNING]]

    def criticise() -> Any:  # noqa: ANN401
        advantage = crew.critic.call("advantages", streams, known)
        crew.critic.call("learn")
        return advantage

    advantage = criticise()

    def learn() -> None:
        department.call("learn", (0,), 1, seen, advantage)

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


def training_speed(report: Callable[[str], None], iterations: int = 20) -> dict[str, Any]:
    """Environment steps per second of the learning department: rollout, advantages, all epochs of PPO, publishing."""
    local = _steps_per_second(Wiring(backend="local", environments=2), iterations)
    report(f"one process: {local}")
    actors = _steps_per_second(Wiring(backend="ray", environments=2), iterations)
    report(f"actors: {actors}")
    ratio = actors["steps_per_second"] / local["steps_per_second"]
    return {"firm": _FIRM, "one_process": local, "actors": actors, "ratio": round(ratio, 3)}


def _steps_per_second(wiring: Wiring, iterations: int) -> dict[str, float]:
    settings = Settings()
    firm = load_firm(_FIRM)
    start = time.perf_counter()
    plan = plan_of(firm, settings)
    crew: Crew = build_crew(plan, wiring, "benchmark", lambda _: None)
    try:
        training = Training(crew, settings, plan.base(settings), plan.streams, firm.periods.train)
        began = time.perf_counter() - start
        taken = []
        for number in range(iterations + 3):
            start = time.perf_counter()
            training.iterate([_LEARNING], (0, 1, number))
            taken.append(time.perf_counter() - start)
    finally:
        crew.close()
    steps = settings.copies * firm.periods.train
    middle = statistics.median(taken[3:])
    return {
        "start_up_seconds": round(began, 2),
        "steps_per_iteration": steps,
        "milliseconds_per_iteration": round(1e3 * middle, 1),
        "steps_per_second": round(steps / middle),
        "best": round(steps / min(taken[3:])),
    }
