"""How long a planner waits: `python benchmarks/planner_size.py [--items 1000] [--stores 10] [--days 731]`.

Daily sales that are generated, a row per day, store and item, with a depot, suppliers who are closed at the weekend,
packs and stock: `firmwide import` and `firmwide propose` on them, each in a process of its own; seconds of processor
and on the clock, and the largest memory.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
WEEK = np.array([0.8, 0.8, 0.9, 1.0, 1.3, 1.5, 0.7])


def write_exports(folder: Path, items: int, stores: int, days: int) -> list[str]:
    """Sales, suppliers and stock of Poisson demand with a weekday profile, whose means differ widely."""
    rng, dates = np.random.default_rng(0), pd.date_range("2022-01-03", periods=days)
    mean = rng.lognormal(0.0, 1.2, (stores, items))
    units = rng.poisson(mean * WEEK[np.arange(days) % 7][:, None, None])
    shops, names = [f"store-{n}" for n in range(stores)], [f"item-{k:05}" for k in range(items)]
    sales = {
        "date": np.repeat(dates.strftime("%Y-%m-%d").to_numpy(), stores * items),
        "store": np.tile(np.repeat(shops, items), days),
        "item": np.tile(names, days * stores),
        "quantity": units.ravel(),
    }
    pd.DataFrame(sales).to_csv(folder / "sales.csv", index=False)
    rows = [(item, "depot", shop, 1, 1, 0, "Sun") for shop in shops for item in names]
    rows += [(item, f"vendor-{k % 7}", "depot", 3 + k % 5, 6, 12, "Sat Sun") for k, item in enumerate(names)]
    header = ["item", "from", "to", "lead_time", "multiple", "moq", "closed_days"]
    pd.DataFrame(rows, columns=header).to_csv(folder / "suppliers.csv", index=False)
    stock = [(shop, item, int(3 * mean[n, k])) for n, shop in enumerate(shops) for k, item in enumerate(names)]
    stock += [("depot", item, int(6 * mean[:, k].sum())) for k, item in enumerate(names)]
    pd.DataFrame(stock, columns=["location", "item", "on_hand"]).to_csv(folder / "stock.csv", index=False)
    return [str(folder / f"{name}.csv") for name in ("sales", "suppliers", "stock")]


def timed(*arguments: str) -> str:
    """Run a command of firmwide; what it took."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    code = "from coordinator.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after, clock = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - begin
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (
        f"{processor:.0f} s of processor, {clock:.0f} s on the clock, at most {after.ru_maxrss / 2**20:.1f} GB so far"
    )


def main() -> None:
    """Print a line per command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    for name, usual in (("items", 1000), ("stores", 10), ("days", 731)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        files = write_exports(Path(place), asked.items, asked.stores, asked.days)
        print(f"{asked.items * asked.stores * asked.days:,} rows")
        shop = str(Path(place) / "shop")
        print("import:", timed("import", *files, "--out", shop), flush=True)
        print("propose:", timed("propose", shop))


if __name__ == "__main__":
    main()
