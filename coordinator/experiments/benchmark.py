"""What `firmwide benchmark` does: firm x scheme x seed as tasks side by side, resumable, and what came out of it.

benchmark.json  asked.json      what makes trials comparable: settings, budget, episodes, first seed; the commands
runs/FIRM/SCHEME/SEED/          a run folder with result.json once it is finished; error.txt if it failed
runs/FIRM/rules/                the firm's rules on the same episodes
results.csv  results.parquet    a row per trial and policy
table.md  learning-curves-FIRM.png  report.html
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import time
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic.dataclasses

from coordinator.experiments.curves import learning_curves
from coordinator.experiments.folder import ASKED, REPORT, read_json
from coordinator.experiments.options import budget, built_in, config_file, flat, with_values
from coordinator.experiments.overview import overview
from coordinator.experiments.progress import BenchmarkDisplay
from coordinator.experiments.tables import (
    Line,
    Row,
    as_markdown,
    for_terminal,
    lines_of,
    marked_down,
    rows_of,
    write_rows,
)
from coordinator.experiments.trackers import trackers
from coordinator.experiments.trial import RULES, Finished, Trial, finished, keep, play
from coordinator.learning.settings import Settings
from coordinator.schemes.given_settings import checked, part_used, settings_of
from coordinator.schemes.registry import names, scheme_of, schemes_for
from coordinator.schemes.setup import setup_of
from coordinator.shown import Shown
from coordinator.storage.policies import write_atomically
from coordinator.version import program_version
from coordinator.workers.ray_tasks import run_tasks, run_tasks_here
from departments.extensions import names_for_others
from environment import Firm, load_firm
from environment.grid import GRID

if TYPE_CHECKING:
    from rich.console import RenderableType

Tasks = Generator[tuple[Trial, Finished | Exception], None, None]
OBSERVATIONS = ("own", "downstream", "everything", "pipeline")  # from little to much
_GPU_SHARE = 0.25  # of a trial whose tensors live there
_EVERY = 30.0  # seconds between rewritings of the table while trials go on


@pydantic.dataclasses.dataclass(frozen=True)
class BenchmarkRequest:
    """The options of the command as they came."""

    firms: Sequence[str]
    schemes: str
    out: Path
    trials: int = 20
    seed: int = 0
    budget: str | None = None
    config: Path | None = None
    episodes: int = 4096
    address: str | None = None
    workers: int | None = None
    backend: str = "ray"
    quiet: bool = False
    values: Sequence[str] = ()  # KEY=VALUE
    log: Sequence[str] = ()  # trackers by name

    @property
    def command(self) -> str:
        """As it is typed; what does not change results is left out."""
        words = ["firmwide", "benchmark", *self.firms, "--schemes", self.schemes, "--trials", str(self.trials)]
        words += ["--seed", str(self.seed)] + (["--budget", self.budget] if self.budget else [])
        words += ["--config", str(self.config)] if self.config else []
        words += [word for pair in self.values for word in ("--set", pair)]
        return shlex.join([*words, "--episodes", str(self.episodes), "--out", str(self.out)])


@dataclass(repr=False)
class Benchmark(Shown):
    """The trials of a request and what has come of them."""

    out: Path
    episodes: int
    schemes: dict[str, list[str]]  # by firm
    trials: list[Trial]
    results: dict[Path, Finished] = field(default_factory=dict)  # by folder
    failed: dict[str, str] = field(default_factory=dict)  # trial -> the last line of its error
    report: Callable[[Path], object] = Path  # writes the html file about the folder

    def __rich__(self) -> RenderableType:
        """A table per firm."""
        return for_terminal(self.tables(), self.episodes)

    def of(self, firm: str) -> list[Finished]:
        """The finished trials of a firm, in the order of the plan."""
        return [self.results[t.folder] for t in self.trials if t.firm.name == firm and t.folder in self.results]

    def rows(self, firm: str) -> list[Row]:
        """The rows of a firm in results.csv."""
        return rows_of(self.of(firm), self.schemes[firm][0])

    def tables(self) -> dict[str, list[Line]]:
        """Every firm's table."""
        return {firm: lines_of(self.rows(firm), schemes) for firm, schemes in self.schemes.items()}

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        firms = {
            firm: [{key: value if value == value else None for key, value in vars(line).items()} for line in lines]
            for firm, lines in self.tables().items()
        }
        return {"out": str(self.out), "episodes": self.episodes, "firms": firms, "failed": self.failed}

    def write(self, pictures: bool) -> None:
        """Results, table and, as they take longer, on demand the pictures and the report."""
        rows = {firm: self.rows(firm) for firm in self.schemes}
        write_rows(self.out, [row for some in rows.values() for row in some])
        tables = {firm: lines_of(some, self.schemes[firm]) for firm, some in rows.items()}
        together = overview(tables)
        before = "" if together is None else "\n".join(map(marked_down, together)) + "\n"
        write_atomically(self.out / "table.md", before + as_markdown(tables, self.episodes))
        for firm, schemes in self.schemes.items() if pictures else ():
            if trials := self.of(firm):
                learning_curves(trials, schemes, self.out / f"learning-curves-{firm}.png")
        if pictures:
            self.report(self.out)


def run_benchmark(request: BenchmarkRequest, report: Callable[[Path], object] = Path) -> Benchmark:
    """Do what is not done yet, and leave everything in the folder.

    Args:
        request: the options of the command.
        report: writes the html file about the folder.

    Raises:
        ValueError: one line, whatever is wrong with the request; nothing has been written then.
        KeyboardInterrupt: the user has enough; the same command goes on from there.
    """
    benchmark, marks = _planned(request)
    benchmark.report = report
    _check_folder(benchmark, marks)
    for trial in benchmark.trials:
        if (kept := finished(trial.folder)) is not None:
            benchmark.results[trial.folder] = kept
    missing = [trial for trial in benchmark.trials if trial.folder not in benchmark.results]
    with closing(BenchmarkDisplay(benchmark.trials, benchmark.results, request.quiet)) as display:
        tasks = _tasks(request, missing, marks, display.tick)
        _write_marks(benchmark, marks, request)
        try:
            with closing(tasks):
                _follow(benchmark, tasks, display)
        except KeyboardInterrupt:
            display.note("interrupted: the same command goes on from here")
            benchmark.write(pictures=False)
            raise
        benchmark.write(pictures=True)
        display.note(f"report in {benchmark.out / REPORT}")
    return benchmark


def _tasks(
    request: BenchmarkRequest, missing: Sequence[Trial], marks: Mapping[str, Any], tick: Callable[[int], None]
) -> Tasks:
    if request.backend == "local" or not missing:
        return run_tasks_here(play, missing)
    gpus = 0.0 if marks["settings"]["device"] == "cpu" else _GPU_SHARE
    name = f"firmwide-benchmark-{request.out.name}"
    return run_tasks(play, missing, name=name, address=request.address, workers=request.workers, gpus=gpus, tick=tick)


def _follow(benchmark: Benchmark, tasks: Tasks, display: BenchmarkDisplay) -> None:
    """Take in results as they come."""
    written = time.monotonic()
    for trial, result in tasks:
        if isinstance(result, Exception):
            lines = "".join(traceback.format_exception(result)).strip()
            write_atomically(trial.folder / "error.txt", lines + "\n")
            benchmark.failed[trial.name] = lines.rpartition("\n")[2]
            display.failed(trial, benchmark.failed[trial.name])
            continue
        keep(trial.folder, result)
        (trial.folder / "error.txt").unlink(missing_ok=True)
        benchmark.results[trial.folder] = Finished(result.about, result.episodes, {})
        display.done(trial, result)
        if time.monotonic() - written > _EVERY:
            benchmark.write(pictures=False)
            written = time.monotonic()


def _planned(request: BenchmarkRequest) -> tuple[Benchmark, dict[str, Any]]:
    """All trials of a request, seed by seed so that what is interrupted is balanced; and what makes them comparable."""
    if request.trials < 1:
        raise ValueError(f"--trials must be at least 1, got {request.trials}")
    if request.backend not in ("ray", "local"):
        raise ValueError(f"--backend must be ray or local, got {request.backend!r}")
    trackers(log := tuple(request.log))  # refuses what cannot be
    if request.backend == "ray":
        names_for_others()  # refuses what tasks could not import
    firms = _firms(request.firms)
    schemes = {firm.name: _schemes(request.schemes, firm) for firm in firms}
    given = with_values(config_file(request.config) | budget(request.budget), request.values)
    if said := {"scheme", "seed"} & set(with_values({}, request.values)):
        raise ValueError(f"--set {min(said)}: --schemes and --seed say what is compared; leave it out")
    kinds = tuple(dict.fromkeys(scheme for firm in firms for scheme in schemes_for(firm)))
    among = tuple(names()) if built_in(request.config) else kinds  # settings may be meant for schemes that come later
    out, chance = request.out.absolute(), request.seed
    settings = {
        name: _settings(given, name, request.seed, among)
        for name in dict.fromkeys(scheme for some in schemes.values() for scheme in some)
    }
    for firm in firms:
        for scheme in schemes[firm.name]:
            _check_plan(firm, scheme, settings[scheme])
    trials = [Trial(firm, None, out / "runs" / firm.name / RULES, request.episodes, chance) for firm in firms]
    for seed in range(request.seed, request.seed + request.trials):
        for firm in firms:
            for scheme in schemes[firm.name]:
                own = settings[scheme].model_copy(update={"seed": seed} | _by_trial(request.budget, scheme, firm))
                folder = out / "runs" / firm.name / scheme / str(seed)
                trials.append(Trial(firm, own, folder, request.episodes, chance, _parsed(scheme)[1], log))
    common = {key: value for key, value in given.items() if key in Settings.model_fields} | {"scheme": ""}
    plain = checked(Settings, common).model_dump(mode="json", exclude={"scheme", "seed", "extensions"})
    plain |= {key: value for key, value in given.items() if key not in Settings.model_fields}
    plain |= {"episodes": request.budget} if request.budget and not budget(request.budget) else {}
    marks = {"seed": request.seed, "episodes": request.episodes, "settings": plain}
    return Benchmark(out, request.episodes, schemes, trials), marks


def _by_trial(text: str | None, name: str, firm: Firm) -> dict[str, float]:
    """A budget that depends on scheme and firm, as `paper`; others stand in the settings of all trials."""
    return {} if budget(text) else budget(text, _parsed(name)[0], firm)


def _parsed(name: str) -> tuple[str, str]:
    """Scheme and, where the name ends with one, the observation set: `NAME-own` is NAME where all see their own."""
    base, _, seen = name.rpartition("-")
    return (base, seen) if name not in names() and base in names() and seen in OBSERVATIONS else (name, "")


def _settings(given: Mapping[str, Any], name: str, seed: int, among: tuple[str, ...]) -> Settings:
    scheme, seen = _parsed(name)
    used = part_used({**given, "scheme": scheme, "seed": seed}, "--config: ", among)
    if seen:
        used = part_used(used | {"policy": {**used.get("policy", {}), "observation": seen}}, f"--schemes: {name}: ")
    return settings_of(used)


def _check_plan(firm: Firm, name: str, settings: Settings) -> None:
    """Refuse what a firm cannot learn by; the device may be one that only the cluster has."""
    plan = setup_of(firm, settings.model_copy(update={"device": "cpu"}))
    seen = _parsed(name)[1]
    if seen and any(spec.policy.observation != seen for spec in plan.specs.values()):
        raise ValueError(
            f"--schemes: {name} cannot be, as {settings.scheme} or the settings of a department say what is observed"
        )


def _firms(names: Sequence[str]) -> list[Firm]:
    if not names:
        raise ValueError("FIRMS is missing: name built-in firms (see `firmwide scenarios`), firm files, or all")
    firms = [load_firm(name) for some in names for name in (GRID if some == "all" else (some,))]
    found = [firm.name for firm in firms]
    if twice := sorted({name for name in found if found.count(name) > 1}):
        raise ValueError(f"FIRMS must have names of their own, but {twice[0]!r} is there twice: leave one out")
    return firms


def _schemes(text: str, firm: Firm) -> list[str]:
    fitting = schemes_for(firm)
    if text.strip() == "all":
        return fitting
    asked = [name.strip() for name in text.split(",")]
    for name, scheme in ((name, _parsed(name)[0]) for name in asked):
        if scheme not in names():
            raise ValueError(f"--schemes must be all, or names out of {', '.join(names())}, got {name!r}")
        if scheme not in fitting:
            kind = "with" if scheme_of(scheme).needs_customers else "without"
            raise ValueError(
                f"--schemes: {name} is for firms {kind} customers; {firm.name} can learn by {', '.join(fitting)}"
            )
        if asked.count(name) > 1:
            raise ValueError(f"--schemes: {name} is there twice: leave one out")
    return asked


def _check_folder(benchmark: Benchmark, marks: Mapping[str, Any]) -> None:
    """Refuse a folder whose trials could not stand beside these."""
    out, file = benchmark.out, benchmark.out / "benchmark.json"
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out must be a folder, got the file {str(out)!r}")
    if not file.is_file():
        if out.exists() and any(out.iterdir()):
            raise ValueError(f"--out {str(out)!r} is not empty and holds no benchmark: name another folder")
        return
    try:
        kept = flat(json.loads(file.read_text()))
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(f"--out: {file} cannot be read ({error}): name another folder") from None
    now = flat(json.loads(json.dumps(marks)))
    for key in [*now, *kept]:
        if now.get(key) != kept.get(key):
            raise ValueError(
                f"--out {str(out)!r} holds a benchmark with {key} = {kept.get(key)!r}, now it is {now.get(key)!r}: "
                "give the same, or name another folder"
            )
    for firm in {trial.firm.name: trial.firm for trial in benchmark.trials}.values():
        written = out / "runs" / firm.name / "firm.yaml"
        if written.is_file() and written.read_text() != firm.to_yaml():
            raise ValueError(
                f"--out {str(out)!r} holds trials of another firm that is called {firm.name} too: "
                "rename the firm, or name another folder"
            )


def _write_marks(benchmark: Benchmark, marks: Mapping[str, Any], request: BenchmarkRequest) -> None:
    for firm in {trial.firm.name: trial.firm for trial in benchmark.trials}.values():
        file = benchmark.out / "runs" / firm.name / "firm.yaml"
        if not file.is_file():
            write_atomically(file, firm.to_yaml())
    file = benchmark.out / ASKED
    asked = {
        "command": request.command,
        "version": program_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, torch {version('torch')}",
        "firms": benchmark.schemes,
        "seed": request.seed,
        "trials": request.trials,
    }
    before = read_json(file) if file.is_file() else []
    if asked not in before:
        write_atomically(file, json.dumps([*before, asked], indent=1) + "\n")
    write_atomically(benchmark.out / "benchmark.json", json.dumps(marks, indent=1) + "\n")
