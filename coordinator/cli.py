"""The `firmwide` command: arguments in, text out; what a command does stands in a module of its own.

Exit status: 0 done, 2 bad input (one line on stderr, nothing written), 1 a failure inside. What takes long to import is
imported by the command that needs it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.live.commands import app as live_commands
from coordinator.monitoring.commands import app as monitoring_commands
from coordinator.office.command import app as office_command

if TYPE_CHECKING:
    from rich.console import RenderableType

_UsageError: type[Exception] = typer.BadParameter.__bases__[0]  # unknown options, missing arguments, bad values

app = typer.Typer(
    name="firmwide",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(live_commands)
app.add_typer(office_command)
app.add_typer(monitoring_commands)

FirmArgument = Annotated[
    str, typer.Argument(metavar="FIRM", show_default=False, help="A built-in firm (see `scenarios`) or a firm file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
DeviceOption = Annotated[str, typer.Option(metavar="cpu|cuda", help="Where tensors live.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Same seed, same numbers.")]


def main() -> None:
    """The entry point of the command."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    try:
        status = app(list(arguments), prog_name="firmwide", standalone_mode=False)
    except _UsageError as error:
        return _refuse(f"{error.format_message()} (see `firmwide --help`)", 2)  # type: ignore[attr-defined]
    except ValueError as error:
        return _refuse(str(error), 2)
    except (typer.Abort, KeyboardInterrupt):
        return _refuse("interrupted", 130)
    except (RuntimeError, OSError) as error:
        return _refuse(str(error), 1)
    return status if isinstance(status, int) else 0


def _refuse(message: str, status: int) -> int:
    sys.stderr.write(f"firmwide: {' '.join(message.split())}\n")
    return status


def show(content: RenderableType | str) -> None:
    """Print for the eye: as wide as the terminal, or wide enough where there is none."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
    console.print(content)


def show_json(content: Any) -> None:  # noqa: ANN401
    """Print one JSON object on stdout."""
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


def _show_version(wanted: bool) -> None:
    if wanted:
        try:
            sys.stdout.write(f"firmwide {version('firmwide')}\n")
        except PackageNotFoundError:
            sys.stdout.write("firmwide (not installed)\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def firmwide(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The departments of a firm, learning together and running together."""
    if context.invoked_subcommand is None:
        sys.stdout.write(f"{context.get_help()}\n")


@app.command()
def scenarios(
    name: Annotated[str | None, typer.Argument(show_default=False, help="Print this firm's file instead.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The built-in firms, one line each; with a name, that firm's file as a start for one's own."""
    import yaml

    from environment import built_in_firms, load_firm

    names = built_in_firms()
    if name is not None:
        if name not in names:
            raise ValueError(f"NAME must be one of {', '.join(names)}, got {name!r}")
        written = load_firm(name).to_yaml()
        return show_json(yaml.safe_load(written)) if as_json else print(written, end="")
    firms = [load_firm(name) for name in names]
    if as_json:
        rows = [{"name": f.name, "description": f.description, "stock_points": len(f.names)} for f in firms]
        return show_json({"firms": rows})
    width = max(map(len, names))
    for firm in firms:
        print(f"{firm.name:<{width}}  {firm.description}")
    return None


@app.command()
def check(firm: FirmArgument, as_json: JsonOption = False) -> None:
    """Validate a firm; show its network, benchmark levels, protection intervals and mean demands."""
    from coordinator.evaluation.check import drawn, facts
    from environment import load_firm

    found = facts(load_firm(firm))
    if as_json:
        show_json(found)
    else:
        show(drawn(found))


def _file(option: str, header: str) -> Any:  # noqa: ANN401
    return typer.Option(option, metavar="CSV", show_default=False, help=f"Given {header}.")


@app.command()
def simulate(
    firm: FirmArgument,
    out: Annotated[Path, typer.Option(metavar="CSV", show_default=False, help="Where the states go.")],
    policy: Annotated[
        str | None, typer.Option(metavar="RULE|RUN", help="Who orders (default: decomposition-aggregation).")
    ] = None,
    orders: Annotated[Path | None, _file("--orders", "period,stock_point,quantity")] = None,
    demand: Annotated[Path | None, _file("--demand", "period,stock_point,quantity")] = None,
    lead_times: Annotated[Path | None, _file("--lead-times", "period,from,to,periods")] = None,
    suppliers: Annotated[Path | None, _file("--suppliers", "period,stock_point,supplier")] = None,
    initial: Annotated[Path | None, _file("--initial", "stock_point,on_hand")] = None,
    periods: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, help="How many (default: as the files, or the firm's evaluation)."),
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """One episode, period by period; what is not given is drawn from the firm's laws.

    With several products every file has a column `product` too. Rows are needed for every period and stock point
    (demand: those that face customers; suppliers: those with several suppliers and something to order).
    """
    from coordinator.evaluation.simulate import GivenFiles
    from coordinator.evaluation.simulate import simulate as simulate_episode
    from environment import load_firm

    files = GivenFiles(orders, demand, lead_times, suppliers, initial)
    cost = simulate_episode(load_firm(firm), out, files, policy=policy, periods=periods, seed=seed)
    sys.stderr.write(f"{out}: cost of all periods {cost:.10g}\n")


@app.command()
def evaluate(
    firm: FirmArgument,
    policy: Annotated[
        list[str],
        typer.Option(
            metavar="RULE|RUN", help="A rule, such as base-stock:NAME=LEVEL,..., or a run folder; repeatable."
        ),
    ],
    episodes: Annotated[int, typer.Option(min=2, max=10_000_000, help="Fresh episodes, the same for all.")] = 4096,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile", help="Rules act in a world compiled by the machine's C++ compiler: for many episodes."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare policies on common random numbers: mean ± standard error, paired differences, service and stock."""
    from coordinator.evaluation.evaluate import evaluate as compare
    from environment import load_firm

    loaded = load_firm(firm)
    _settle_on(device)
    twice = sorted({name for name in policy if policy.count(name) > 1})
    if twice:
        raise ValueError(f"--policy {twice[0]!r} is given twice; give each policy once")
    note = partial(print, file=sys.stderr) if compiled else None
    done = compare(loaded, policy, episodes=episodes, seed=seed, device=device, compiled=note)
    if as_json:
        return show_json(done.to_json())
    from coordinator.evaluation.table import comparison

    return show(comparison(done, policy[0]))


@app.command()
def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="A run of a firm with customers.")],
    states: Annotated[
        int, typer.Option(min=16, max=100_000, help="States of evaluation episodes, a multiple of 8.")
    ] = 512,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Does the agent behave as theory says? Sweeps each decision; leaves explain.png and regions.png in the run."""
    from coordinator.explain.show import explain_run, findings_table

    _settle_on("cpu")
    found = explain_run(run, states=states, seed=seed)
    if as_json:
        return show_json(found.to_json())
    return show(findings_table(found))


@app.command()
def train(
    firm: Annotated[
        str | None,
        typer.Argument(metavar="FIRM", show_default=False, help="A built-in firm or a firm file (not with --resume)."),
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEME",
            show_default=False,
            help="imarl (default), marl, marl-gnn, sarl, sarl-gnn or pathwise; "
            "with customers mtma (default), stma-fast, stma-slow, stsa-fast, stsa-slow, siloed.",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="DIR", show_default=False, help="The run folder (default: a new one in runs/)."),
    ] = None,
    seed: SeedOption = 0,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="120s|1e7",
            show_default=False,
            help="Wall time, environment steps, quick or paper; default: until done.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="YAML", show_default=False, help="Settings that differ from the defaults.")
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(metavar="ORDER", show_default=False, help="IMARL: downstream-first, upstream-first or greedy."),
    ] = None,
    observation: Annotated[
        str | None,
        typer.Option(
            metavar="SET",
            show_default=False,
            help="Without customers: own, downstream (default), everything, pipeline.",
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="auto|HOST", show_default=False, help="A running Ray cluster; default: start one here."),
    ] = None,
    backend: Annotated[str, typer.Option(metavar="ray|local", help="Actors, or everything in this process.")] = "ray",
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            show_default=False,
            help="With --backend local, where departments learn in C++; default: one per core.",
        ),
    ] = None,
    environments: Annotated[int, typer.Option(min=1, max=10_000, help="Environment actors.")] = 2,
    departments_per_process: Annotated[
        int, typer.Option(min=1, max=10_000, help="Departments that share a process.")
    ] = 1,
    department_gpus: Annotated[
        float,
        typer.Option(min=0, help="Share of a GPU that each department process asks Ray for (with --device cuda)."),
    ] = 0.0,
    critic_gpus: Annotated[float, typer.Option(min=0, help="Share of a GPU that the critic asks Ray for.")] = 0.0,
    execution: Annotated[
        str, typer.Option(metavar="snapshot|message", help="How departments act in rollouts; the result is the same.")
    ] = "snapshot",
    episodes: Annotated[
        int, typer.Option(min=2, max=10_000_000, help="Fresh episodes of the final comparison.")
    ] = 4096,
    beside: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", show_default=False, help="Another run in the final comparison; repeatable."),
    ] = None,
    device: DeviceOption = "cpu",
    compiled: Annotated[
        bool,
        typer.Option("--compile", help="Say what compiling the world for the tuning of base-stock levels took."),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --run.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a firm's departments, then compare them with the benchmarks on fresh episodes."""
    started = time.monotonic()
    from coordinator.experiments.train import TrainRequest, run_training

    wiring = {
        "backend": backend,
        "address": address,
        "environments": environments,
        "departments_per_process": departments_per_process,
        "execution": execution,
        "department_gpus": department_gpus,
        "critic_gpus": critic_gpus,
    } | ({} if threads is None else {"threads": threads})
    settings = {"seed": seed, "device": device} | ({} if scheme is None else {"scheme": scheme})
    _settle_on(device)
    others = tuple(beside or ())
    request = TrainRequest(
        firm, settings, config, order, observation, budget, wiring, run, resume, episodes, as_json, others, compiled
    )
    done = run_training(request, started)
    if as_json:
        return show_json(done.to_json())
    from coordinator.evaluation.table import comparison

    return show(comparison(done, next(iter(done.results))))


@app.command()
def benchmark(
    firms: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FIRMS...", show_default=False, help="Built-in firms, firm files, or all: the 30 of the grid."
        ),
    ] = None,
    schemes: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help="Schemes to compare; all: those that fit the firm; imarl-own: where all see their own position only.",
        ),
    ] = "all",
    trials: Annotated[int, typer.Option(help="Seeds per firm and scheme.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="The first of the seeds.")] = 0,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="60s|1e6", show_default=False, help="Of a trial: wall time, environment steps, quick or paper."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where everything goes; what is finished there is not repeated.")
    ] = Path("runs/benchmark"),
    config: Annotated[
        Path | None, typer.Option(metavar="YAML", show_default=False, help="Settings that differ from the defaults.")
    ] = None,
    episodes: Annotated[
        int, typer.Option(min=2, max=10_000_000, help="Fresh episodes of the report, the same for all of a firm.")
    ] = 4096,
    address: Annotated[
        str | None,
        typer.Option(metavar="auto|HOST", show_default=False, help="A running Ray cluster; default: start one here."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, show_default=False, help="Trials at a time; default: as many as there are cores."),
    ] = None,
    backend: Annotated[str, typer.Option(metavar="ray|local", help="Side by side, or one by one here.")] = "ray",
    as_json: JsonOption = False,
) -> int:
    """Scheme against scheme over many seeds: tables with 95% intervals, learning curves, every trial's results."""
    from coordinator.experiments.benchmark import BenchmarkRequest, run_benchmark

    request = BenchmarkRequest(
        tuple(firms or ()), schemes, out, trials, seed, budget, config, episodes, address, workers, backend, as_json
    )
    _settle_on("cpu")
    done = run_benchmark(request)
    if as_json:
        show_json(done.to_json())
    else:
        from coordinator.experiments.tables import for_terminal

        show(for_terminal(done.tables(), done.episodes))
    for trial, reason in done.failed.items():
        _refuse(f"{trial} failed: {reason}; the same command tries it again", 1)
    return 1 if done.failed else 0


@app.command()
def report(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN|BENCHMARK", show_default=False, help="A run folder or a benchmark folder.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="HTML", show_default=False, help="Where it goes; default: into the folder.")
    ] = None,
) -> None:
    """One html file with pictures and tables of a run or a benchmark, finished or not; it opens from disk."""
    from coordinator.report.write import write_report

    _settle_on("cpu")
    print(write_report(folder, out))


def _settle_on(device: str) -> None:
    """Small tensors are fastest on one thread; a device that is not there is refused here."""
    import torch

    from coordinator.workers.process import settle

    settle()
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"--device must be cpu, or a device that PyTorch finds here, got {device!r}: {error}"
        ) from None
