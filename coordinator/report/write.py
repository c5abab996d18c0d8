"""What `firmwide report` does: one self-contained html file about a run or a benchmark, finished or not."""

from __future__ import annotations

from pathlib import Path

from coordinator.experiments.folder import REPORT, read_benchmark
from coordinator.report.benchmark_page import benchmark_page
from coordinator.report.run_page import run_page
from coordinator.storage.policies import write_atomically


def write_report(path: Path, out: Path | None = None) -> Path:
    """Write the report of a run folder or a benchmark folder, by default into it.

    Args:
        path: of the folder.
        out: the html file.

    Returns:
        Where it is.

    Raises:
        ValueError: one line; the folder is neither, or a file of it is damaged, or `out` is a folder.
    """
    target = path / REPORT if out is None else out
    if target.is_dir():
        raise ValueError(f"--out must be a file, got the folder {str(target)!r}")
    if (path / "benchmark.json").is_file():
        page = benchmark_page(read_benchmark(path))
    elif (path / "settings.json").is_file():
        page = run_page(path)
    else:
        raise ValueError(f"{str(path)!r} is neither a run folder nor a benchmark folder: it holds no settings.json")
    write_atomically(target, page.html())
    return target
