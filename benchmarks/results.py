"""Train firms x seeds by the `firmwide` command and print the results as a markdown table.

    python benchmarks/results.py --firms a1 a3 b1 --seeds 5 --budget 110 --out runs/results

Each training is a process of its own and leaves a run folder. What is finished is not done again, and what was
interrupted is resumed, so the command can be stopped and repeated at any time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-c", "from coordinator.cli import main; main()", "train"]
BENCHMARKS = ("decomposition-aggregation", "tuned base-stock", "echelon base-stock")
HEADER = (
    "firm",
    "seeds",
    *BENCHMARKS,
    "IMARL, mean over seeds",
    "worst seed's saving over decomposition-aggregation",
    "seconds a seed",
)


def trained(firm: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """The result of one training, done now unless it is there."""
    run = options.out.resolve() / f"{Path(firm).stem}-{seed}"
    result, clock = run / "result.json", run.with_suffix(".seconds")
    if not result.is_file():
        begun = (run / "checkpoint.safetensors").is_file()
        what = ["--resume"] if begun else [firm, "--seed", str(seed)]
        spent = float(clock.read_text()) if begun and clock.is_file() else 0.0
        sys.stderr.write(f"{firm}, seed {seed}: {'resumed' if begun else 'started'}\n")
        start = time.monotonic()
        budget = ["--budget", f"{options.budget}s", "--episodes", str(options.episodes), "--run", str(run)]
        done = subprocess.run(
            [*COMMAND, *what, *budget, "--json", *options.train], cwd=ROOT, stdout=subprocess.DEVNULL, check=False
        )
        run.parent.mkdir(parents=True, exist_ok=True)
        clock.write_text(f"{spent + time.monotonic() - start:.1f}\n")
        if done.returncode:
            raise SystemExit(
                f"training {firm} with seed {seed} ended with status {done.returncode}; run again to go on"
            )
    return json.loads(result.read_text())["policies"] | {"seconds": float(clock.read_text())}


def row(firm: str, results: list[dict[str, Any]]) -> list[str]:
    """One line of the table."""
    word = "cost" if "cost" in results[0]["imarl"] else "profit"
    sign = -1.0 if word == "cost" else 1.0

    def mean(policy: str) -> str:
        values = [result[policy][word]["mean"] for result in results]
        spread = f" ± {statistics.stdev(values):,.0f}" if len(values) > 1 and policy == "imarl" else ""
        return f"{statistics.mean(values):,.0f}{spread}"

    savings = [result["imarl"]["versus"][BENCHMARKS[0]] for result in results]
    worst = min(savings, key=lambda saving: sign * saving["difference"])
    base = statistics.mean(result[BENCHMARKS[0]][word]["mean"] for result in results)
    saved = sign * worst["difference"]
    seconds = [result["seconds"] for result in results]
    return [
        firm,
        str(len(results)),
        *(mean(name) for name in (*BENCHMARKS, "imarl")),
        f"{saved:,.0f} ± {worst['se']:.1f} ({100 * saved / abs(base):.1f}%)",
        f"{statistics.mean(seconds):.0f}, at most {max(seconds):.0f}",
    ]


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--firms", nargs="+", default=["a1", "a3", "b1"], help="built-in firms or firm files")
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0")
    parser.add_argument("--budget", type=float, default=110.0, help="seconds a training, Ray's start included")
    parser.add_argument("--episodes", type=int, default=4096, help="of the comparison")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "results", help="where the run folders go")
    parser.add_argument("train", nargs="*", help="further options of `firmwide train`, after --")
    options = parser.parse_args()
    lines = [HEADER, ["---"] * len(HEADER)]
    for firm in options.firms:
        lines.append(row(Path(firm).stem, [trained(firm, seed, options) for seed in range(options.seeds)]))
    for line in lines:
        print("| " + " | ".join(line) + " |")


if __name__ == "__main__":
    main()
