"""How fast a running firm ticks, where the time goes, and by how much a swap delays a tick.

python benchmarks/live_speed.py --firm firm --firm firm-d --ticks 600
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import threading
from pathlib import Path

from coordinator.live.start import Opening, open_firm

_LOOK = 0.2  # s between two looks; more often, and looking takes time from the ticks


def measure(source: str, ticks: int, swaps: int, home: Path) -> dict[str, object]:
    """Ticks per second at full speed; then the longest tick while policies are swapped."""
    with open_firm(Opening(source, f"speed-{source}", home, tick=0.0)) as firm:
        try:
            waiting = threading.Event()

            def until(tick: int) -> None:
                while firm.committed() < tick:
                    waiting.wait(_LOOK)

            until(50)
            before = firm.metrics()
            until(before["tick"] + ticks)
            after = firm.metrics()
            count = after["tick"] - before["tick"]
            split = {key: (after["split"][key] - before["split"][key]) / count * 1e3 for key in after["split"]}
            split["ray"] = split["departments"] - split["policy"] / len(firm.departments)
            seconds = after["tick_seconds"]["sum"] - before["tick_seconds"]["sum"]
            department, first = firm.departments[0], firm.committed()
            rule = "forecast-base-stock" if firm.layout.recommends else "decomposition-aggregation"
            swapped = [firm.swap(department, rule)["tick"] for _ in range(swaps)]
            while firm.metrics()["tick"] < max(swapped) + 5:
                waiting.wait(_LOOK)
            times = [tick["time"] for tick in firm.ticks(first, 100_000)]
            gaps = {tick["tick"]: b - a for tick, a, b in zip(firm.ticks(first + 1), times, times[1:], strict=False)}
            return {
                "firm": source,
                "departments": len(firm.departments),
                "ticks_per_second": count / (after["time"] - before["time"]),
                "ms_per_tick": seconds / count * 1e3,
                "split_ms": split,
                "gap_at_swaps_ms": [1e3 * max(gaps.get(t, 0.0), gaps.get(t + 1, 0.0)) for t in swapped],
                "longest_gap_ms": 1e3 * max(gaps.values()),
                "fallbacks": after["fallbacks"],
            }
        finally:
            firm.dismiss()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--firm", action="append", metavar="FIRM", help="repeatable; default: firm and firm-d")
    parser.add_argument("--ticks", type=int, default=600)
    parser.add_argument("--swaps", type=int, default=3)
    asked = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="live-speed-"))
    try:
        for source in asked.firm or ["firm", "firm-d"]:
            print(json.dumps(measure(source, asked.ticks, asked.swaps, home), indent=1))
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
