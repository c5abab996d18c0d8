"""How fast a running firm ticks, where the time goes, and by how much a swap delays a tick.

python benchmarks/live_speed.py --firm firm --firm firm-d --ticks 600
python benchmarks/live_speed.py --firm firm --clients 50      what looking at the office costs
python benchmarks/live_speed.py --firm firm-d --endure 50000 --keep 2000      pace and growth
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from coordinator.live.home import processes_of
from coordinator.live.running_firm import RunningFirm
from coordinator.live.start import Opening, open_firm
from coordinator.office.serve import listening_at, serve

_LOOK = 0.2  # s between two looks; more often, and looking takes time from the ticks


def measure(source: str, ticks: int, swaps: int, home: Path) -> dict[str, object]:
    """Ticks per second at full speed; then the longest tick while policies are swapped."""
    with open_firm(Opening(source, f"speed-{source}", home, tick=0.0)) as firm:
        try:
            until(firm, 50)
            before = firm.metrics()
            until(firm, before["tick"] + ticks)
            after = firm.metrics()
            count = after["tick"] - before["tick"]
            split = {key: (after["split"][key] - before["split"][key]) / count * 1e3 for key in after["split"]}
            split["ray"] = split["departments"] - split["policy"] / len(firm.departments)
            seconds = after["tick_seconds"]["sum"] - before["tick_seconds"]["sum"]
            department, first = firm.departments[0], firm.committed()
            rule = "forecast-base-stock" if firm.layout.recommends else "decomposition-aggregation"
            swapped = [firm.swap(department, rule)["tick"] for _ in range(swaps)]
            while firm.metrics()["tick"] < max(swapped) + 5:
                time.sleep(_LOOK)
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


def until(firm: RunningFirm, tick: int) -> None:
    """Wait until it has been committed."""
    waiting = threading.Event()
    while firm.committed() < tick:
        waiting.wait(_LOOK)


def pace(firm: RunningFirm, seconds: float) -> float:
    """Ticks per second over some time."""
    before = firm.metrics()
    time.sleep(seconds)
    after = firm.metrics()
    return float((after["tick"] - before["tick"]) / (after["time"] - before["time"]))


@contextlib.contextmanager
def office(firm: RunningFirm) -> Iterator[int]:
    """A page in this process; its port."""
    listening = listening_at("127.0.0.1", 0)
    serving = threading.Thread(target=serve, args=(firm, listening, "127.0.0.1", lambda _: None))
    serving.start()
    try:
        yield listening.getsockname()[1]
    finally:
        firm.dismiss()
        serving.join()


async def _look(port: int, number: int, counted: Any) -> None:  # noqa: ANN401
    """One page that looks once a second, as office.js does."""
    await asyncio.sleep(number / 50 % 1.0)
    reading, writing = await asyncio.open_connection("127.0.0.1", port)
    known, next_event = -1, 0

    async def get(path: str) -> object:
        writing.write(f"GET /api/{path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode())
        head = (await reading.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        counted.value += head.startswith("http/1.1 200")
        return json.loads(await reading.readexactly(length))

    departments = (await get("network"))["departments"]  # type: ignore[index]
    while True:
        metrics = await get("metrics")
        tick = metrics["tick"]  # type: ignore[index]
        since = max(known + 1, tick - 240, 0)
        ticks = await get(f"ticks?since={since}&limit=300")
        await get(f"history?since={tick - 1}&limit={len(departments)}")
        await get(f"history?department={departments[0]}&since={since}&limit=300")
        events = await get(f"events?since={next_event}&limit=1000")
        known = ticks[-1]["tick"] if ticks else known  # type: ignore[index]
        next_event = events[-1]["number"] + 1 if events else next_event  # type: ignore[index]
        await asyncio.sleep(1.0)


def clients(port: int, count: int, counted: Any) -> None:  # noqa: ANN401
    """So many pages, until this process is ended; `counted`: the answers so far, shared."""

    async def everyone() -> None:
        await asyncio.gather(*(_look(port, number, counted) for number in range(count)))

    asyncio.run(everyone())


def watched(source: str, count: int, rounds: int, home: Path) -> dict[str, object]:
    """Ticks per second alone and with clients at the office, by turns."""
    with open_firm(Opening(source, f"watched-{source}", home, tick=0.0)) as firm, office(firm) as port:
        until(firm, 300)
        context = multiprocessing.get_context("spawn")
        counted = context.Value("q", 0)
        alone, looked_at, answers = [], [], []
        for _ in range(rounds):
            alone.append(pace(firm, 10.0))
            looking = context.Process(target=clients, args=(port, count, counted))
            looking.start()
            time.sleep(3.0)
            before = counted.value
            looked_at.append(pace(firm, 10.0))
            answers.append((counted.value - before) / 10.0)
            looking.kill()
            looking.join()
        cost = [1.0 - b / a for a, b in zip(alone, looked_at, strict=True)]
        return {
            "firm": source,
            "clients": count,
            "answers_per_second": statistics.median(answers),
            "ticks_per_second_alone": alone,
            "ticks_per_second_looked_at": looked_at,
            "cost": cost,
            "median_cost": statistics.median(cost),
        }


def used(folder: Path) -> tuple[float, float]:
    """Seconds of processor time and megabytes, without what is shared, of everything that runs for a firm."""
    seconds = megabytes = 0.0
    for process in processes_of(folder):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            kept = [int(line.split()[1]) for line in rollup if line.startswith(("Private_Dirty", "Private_Clean"))]
            megabytes += sum(kept) / 1024
    return seconds, megabytes


def endured(source: str, ticks: int, keep: int | None, home: Path, say: Callable[[str], object]) -> dict[str, object]:
    """What every thousand ticks takes, and what the firm has grown to."""
    rows = []
    with open_firm(Opening(source, f"endured-{source}", home, tick=0.0, keep=keep)) as firm:
        try:
            until(firm, 200)
            for _ in range(ticks // 1000):
                begun, first, (spent, _) = time.monotonic(), firm.committed(), used(firm.folder)
                until(firm, first + 1000)
                last, (after, megabytes) = firm.committed(), used(firm.folder)
                count, book = last - first, sum(path.stat().st_size for path in firm.folder.glob("book.sqlite*"))
                rows.append(
                    {
                        "tick": last,
                        "ticks_per_second": round(count / (time.monotonic() - begun), 1),
                        "processor_ms_per_tick": round(1e3 * (after - spent) / count, 2),
                        "megabytes": round(megabytes),
                        "book_megabytes": round(book / 2**20, 2),
                    }
                )
                say(json.dumps(rows[-1]))
        finally:
            firm.dismiss()
    return {"firm": source, "keep": keep, "first": rows[0], "middle": rows[len(rows) // 2], "last": rows[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--firm", action="append", metavar="FIRM", help="repeatable; default: firm and firm-d")
    parser.add_argument("--ticks", type=int, default=600)
    parser.add_argument("--swaps", type=int, default=3)
    parser.add_argument("--clients", type=int, metavar="N", help="measure what N pages at the office cost")
    parser.add_argument("--endure", type=int, metavar="TICKS", help="measure pace and growth over so many ticks")
    parser.add_argument("--keep", type=int, metavar="N", help="with --endure: periods that the book keeps")
    asked = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="live-speed-"))
    try:
        for source in asked.firm or ["firm", "firm-d"]:
            if asked.clients:
                found = watched(source, asked.clients, 3, home)
            elif asked.endure:
                found = endured(source, asked.endure, asked.keep, home, lambda line: sys.stderr.write(line + "\n"))
            else:
                found = measure(source, asked.ticks, asked.swaps, home)
            print(json.dumps(found, indent=1))
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
