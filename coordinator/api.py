"""What `import firmwide` offers and the command calls: a function for each thing to do, by the same words in both.

What takes long to import is imported by the function that needs it. Bad input is a ValueError of one line. While they
work, tensors are computed on one thread, which is fastest for small ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coordinator.evaluation.check import Check
    from coordinator.evaluation.simulate import Episode
    from coordinator.evaluation.table import Evaluation
    from coordinator.evaluation.whatif import WhatIf
    from coordinator.experiments.benchmark import Benchmark
    from coordinator.experiments.run import Run
    from coordinator.explain.line import OrderParts
    from coordinator.planning.course import Backtest
    from coordinator.planning.forecasting import Forecast
    from coordinator.planning.importing import Imported
    from coordinator.planning.proposal import Proposal
    from coordinator.runs.watcher import Watcher
    from departments.decisions import Policy
    from environment import Firm


def check(firm: Firm | str | Path) -> Check:
    """Validate a firm: its network, benchmark levels, protection intervals and mean demands.

    Args:
        firm: here and below a checked firm, the name of a built-in one, or a firm file.
    """
    from coordinator.evaluation.check import Check, facts
    from environment import load_firm

    return Check(facts(load_firm(firm)))


def import_firm(files: Sequence[str | Path], *, out: str | Path, **how: Any) -> Imported:  # noqa: ANN401
    """Make the folder of a firm from exports, `firmwide import`: its tables, a report, a first feed file.

    Args:
        files: csv, xlsx or parquet: sales, and where there are any stock, suppliers, receipts, items.
        out: the new folder.
        **how: fields of `coordinator.planning.importing.ImportRequest`, such as `decimal`, `missing` or `until`.
    """
    from coordinator.planning.importing import ImportRequest
    from coordinator.planning.importing import import_firm as import_files

    return import_files(ImportRequest([Path(file) for file in files], Path(out), **how))


def backtest(
    folder: str | Path,
    begin: str,
    policies: Sequence[str] = ("cover:14", "tuned"),
    *,
    until: str | None = None,
    every: int = 28,
    out: str | Path | None = None,
    progress: bool | None = None,
) -> Backtest:
    """Play an imported firm's history as it happened under several policies, each on what was known on the day.

    Args:
        folder: of `import_firm`.
        begin: the first day that counts, such as 2011-10-01.
        policies: `cover:DAYS`, `rule:EXPRESSION`, `tuned[:FILL_RATE]`, a csv file of levels, a run folder; `NAME=`
            names one.
        until: the first day that does not count any more.
        every: days between two tunings.
        out: folder of results.csv, lines.csv and backtest.html; by default `backtest` in the firm's.
        progress: of the tuning, as of `train`.
    """
    from coordinator.planning.backtest import backtest as play_history

    with _settled("cpu"):
        how: dict[str, Any] = {"until": until, "every": every, "out": None if out is None else Path(out)}
        return play_history(Path(folder), begin, policies, **how, note=_teller(progress))


def forecast(folder: str | Path, days: int = 28, *, out: str | Path | None = None) -> Forecast:
    """Forecast demand of an imported firm with intervals, and say how good such forecasts were on days before.

    Args:
        folder: of `import_firm`.
        days: how many.
        out: folder of forecast.csv, errors.csv and forecast.html; by default `forecast` in the firm's.
    """
    from coordinator.planning.forecasting import forecast as look_ahead

    return look_ahead(Path(folder), days, None if out is None else Path(out))


def propose(
    folder: str | Path,
    policy: str = "tuned",
    *,
    beside: str = "cover:14",
    out: str | Path | None = None,
    progress: bool | None = None,
) -> Proposal:
    """Propose the orders of the day after an imported firm's history, each with a reason, exceptions first.

    Args:
        folder: of `import_firm`.
        policy: as of `backtest`.
        beside: a rule of days of cover that it is compared with.
        out: folder of the order list; by default `orders/DAY` in the firm's.
        progress: of the tuning, as of `train`.
    """
    from coordinator.planning.propose import propose as propose_orders

    with _settled("cpu"):
        where = None if out is None else Path(out)
        return propose_orders(Path(folder), policy, beside=beside, out=where, note=_teller(progress))


def simulate(
    firm: Firm | str | Path,
    *,
    policy: str | None = None,
    orders: str | Path | None = None,
    demand: str | Path | None = None,
    lead_times: str | Path | None = None,
    suppliers: str | Path | None = None,
    initial: str | Path | None = None,
    periods: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    progress: bool | None = None,
) -> Episode:
    """One episode, period by period; what is not given is drawn from the firm's laws.

    Args:
        firm: which.
        policy: what orders; by default a good rule that is had at once, `Episode.default` says which and why.
        orders: csv file, as all that follow: period, stock_point, (product,) quantity.
        demand: the same.
        lead_times: period, from, to, (product,) periods.
        suppliers: period, stock_point, (product,) supplier.
        initial: stock_point, (product,) on_hand.
        periods: how many; as the files, or the firm's evaluation, by default.
        seed: of what is drawn.
        out: csv file for the states.
        progress: of a search for levels, as of `train`.
    """
    from coordinator.evaluation.simulate import GivenFiles
    from coordinator.evaluation.simulate import simulate as simulate_episode
    from environment import load_firm

    named = {"orders": orders, "demand": demand, "lead_times": lead_times, "suppliers": suppliers, "initial": initial}
    files = GivenFiles(**{kind: Path(file) for kind, file in named.items() if file is not None})
    written = None if out is None else Path(out)
    how: dict[str, Any] = {"policy": policy, "periods": periods, "seed": seed, "out": written}
    return simulate_episode(load_firm(firm), files, **how, note=_teller(progress))


def compare(
    firms: Sequence[Firm | str | Path],
    changes: Sequence[str] = (),
    *,
    policy: str = "tuned-base-stock",
    episodes: int = 4096,
    seed: int = 0,
    progress: bool | None = None,
) -> WhatIf:
    """What if: firms on the same demand, each under its own policy, with paired differences from the first.

    Args:
        firms: one or more.
        changes: `PATH=VALUE`, such as `supply[0].lead_time=5`, of the first firm: all of them make one firm more.
        policy: a rule that each firm follows by itself.
        episodes: how many.
        seed: of the episodes.
        progress: of a search for levels, as of `train`.
    """
    from coordinator.evaluation.whatif import compare as play_all

    with _settled("cpu"):
        return play_all(firms, changes, policy=policy, episodes=episodes, seed=seed, note=_teller(progress))


def evaluate(
    firm: Firm | str | Path,
    policies: Sequence[str] | Mapping[str, str | Policy],
    *,
    episodes: int = 4096,
    seed: int = 0,
    device: str = "cpu",
    compiled: Callable[[str], None] | None = None,
    progress: bool | None = None,
) -> Evaluation:
    """Compare policies on the same fresh episodes: means with standard errors, paired differences, service and stock.

    Args:
        firm: which.
        policies: rules such as `base-stock:NAME=LEVEL,...`, csv files of levels, run folders; `NAME=` names one. Or a
            mapping from names to these, and to policies such as `FirmEnv.policy` makes of other people's models.
        episodes: how many, the same for all policies.
        seed: of the episodes.
        device: where tensors live, cpu or cuda.
        compiled: let rules act in a world that the machine's C++ compiler makes, and say here what it took.
        progress: of a search for levels, as of `train`.
    """
    from coordinator.evaluation.evaluate import evaluate as compare
    from environment import load_firm

    loaded = load_firm(firm)
    with _settled(device):
        how: dict[str, Any] = {"episodes": episodes, "seed": seed, "device": device}
        return compare(loaded, policies, **how, compiled=compiled, note=_teller(progress))


def train(
    firm: Firm | str | Path | None = None,
    *,
    scheme: str | None = None,
    run: str | Path | None = None,
    seed: int = 0,
    budget: str | None = None,
    config: str | Path | Mapping[str, Any] | None = None,
    order: str | None = None,
    observation: str | None = None,
    episodes: int = 4096,
    beside: Sequence[str | Path] = (),
    device: str = "cpu",
    compiled: bool = False,
    resume: bool = False,
    start_from: str | Path | None = None,
    progress: bool | None = None,
    values: Sequence[str] = (),
    log: Sequence[str] = (),
    watchers: Sequence[Watcher] = (),
    **wiring: Any,  # noqa: ANN401
) -> Run:
    """Train a firm's departments, then compare them with the benchmarks on fresh episodes.

    Args:
        firm: which; none to go on with a run.
        scheme: how; see `firmwide train --help` for all. By default the paper's for firms of this kind.
        run: its folder; by default a new one in runs/.
        seed: same seed, same numbers.
        budget: wall time such as `120s`, environment steps such as `1e7`, `quick` or `paper`; else until done.
        config: settings that differ from the defaults: a YAML file, a built-in name such as `paper`, or a mapping.
        order: of the departments' turns.
        observation: what departments see.
        episodes: fresh ones, of the comparison.
        beside: run folders that stand in the comparison too.
        device: where tensors live, cpu or cuda.
        compiled: say what compiling the world for the tuning of base-stock levels took.
        resume: go on from the checkpoint in `run`.
        start_from: a run whose policies these departments start from, maybe of another firm; see `policies_from`.
        progress: show it on stderr; by default on a terminal and in a notebook.
        values: single settings on top of `config`, such as `ppo.learning_rate=5e-4`.
        log: experiment trackers by name: `tensorboard`, `wandb`, `mlflow`.
        watchers: objects that are told what happens; see `coordinator.runs.watcher`.
        **wiring: where it happens, without a change of the result: `backend` (`ray` or `local`), `threads`, `address`,
            `environments`, `departments_per_process`, `department_gpus`, `critic_gpus`, `execution`.
    """
    given = locals()
    from coordinator.experiments.train import TrainRequest, run_training

    with _settled(device):
        return run_training(TrainRequest(**given | {"progress": _watched(progress)}))


def benchmark(
    firms: Sequence[str],
    *,
    schemes: str = "all",
    trials: int = 20,
    seed: int = 0,
    budget: str | None = None,
    out: str | Path = "runs/benchmark",
    config: str | Path | None = None,
    episodes: int = 4096,
    address: str | None = None,
    workers: int | None = None,
    backend: str = "ray",
    progress: bool | None = None,
    values: Sequence[str] = (),
    log: Sequence[str] = (),
) -> Benchmark:
    """Scheme against scheme over many seeds; what is finished in the folder is not repeated.

    Args:
        firms: built-in firms, firm files, or `all`: the 30 of the grid.
        schemes: names with commas between; `all` are those that fit the firm.
        trials: seeds per firm and scheme.
        seed: the first of them.
        budget: of a trial, as of `train`.
        out: the folder for everything.
        config: settings, as of `train`.
        episodes: fresh ones of the report, the same for all of a firm.
        address: of a running Ray cluster.
        workers: trials at a time; by default as many as there are cores.
        backend: `ray` side by side, `local` one by one in this process.
        progress: as of `train`.
        values: as of `train`.
        log: as of `train`, of every trial.
    """
    given = locals()
    from coordinator.experiments.benchmark import BenchmarkRequest, run_benchmark
    from coordinator.report.write import write_report

    given["quiet"] = not _watched(given.pop("progress"))
    with _settled("cpu"):
        return run_benchmark(BenchmarkRequest(**given), write_report)


def report(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write one html file with pictures and tables of a run or a benchmark, finished or not.

    Args:
        folder: of the run or the benchmark.
        out: the html file; by default in the folder.

    Returns:
        Where it is.
    """
    from coordinator.report.write import write_report

    with _settled("cpu"):
        return write_report(Path(folder), None if out is None else Path(out))


def explain_order(
    source: str | Path,
    order: str,
    *,
    period: int = 30,
    seed: int = 0,
    html: str | Path | None = None,
    home: str | Path = "runs/live",
) -> OrderParts:
    """Where an order comes from that a trained department decides on: parts that sum up, one for each thing it sees.

    Args:
        source: a run folder; or the name of a running firm, whose next order it is then.
        order: `POINT`, or `POINT/PRODUCT`.
        period: of an episode of the run.
        seed: of that episode.
        html: where to write a page of it, if anywhere.
        home: of running firms.

    Raises:
        ValueError: one line; there is no such order, or a rule decides on it.
    """
    from coordinator.explain.line import parts_in_operation, parts_in_run

    with _settled("cpu"):
        if (Path(source) / "settings.json").is_file():
            found = parts_in_run(Path(source), order, period, seed)
        else:
            found = parts_in_operation(str(source), Path(home), order)
        if html is not None:
            from coordinator.report.order_page import write_order_page

            write_order_page(found, Path(html))
        return found


def _watched(progress: bool | None) -> bool:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return (sys.stderr.isatty() or hasattr(shell, "kernel")) if progress is None else progress


def _teller(progress: bool | None) -> Callable[[str], None]:
    """Whom to tell how far something is: stderr, or nobody."""
    return (lambda line: print(line, file=sys.stderr)) if _watched(progress) else lambda _: None


@contextmanager
def _settled(device: str) -> Iterator[None]:
    """Set this process up for small tensors, and give the caller's threads back; refuse a device that is not there."""
    import torch

    from coordinator.workers.process import settle

    threads = torch.get_num_threads()
    settle()
    try:
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            known = "cpu, or a device that PyTorch finds here"
            raise ValueError(f"--device must be {known}, got {device!r}: {error}") from None
        yield
    finally:
        torch.set_num_threads(threads)
