"""Measure the speed of the world and of learning: `python benchmarks/speed.py [--json FILE] [--device cuda]`.

Prints one JSON object on stdout; progress goes to stderr. The machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

import torch
from learning_speed import gradient_speed, memory_speed, peak_speed, training_speed, update_speed
from world_speed import world_speed

from coordinator.workers.process import settle


def machine(device: str) -> dict[str, Any]:
    """What the numbers depend on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name() if device != "cpu" else "cpu",
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "python": platform.python_version(),
    }


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the object there too")
    parser.add_argument("--device", default="cpu", metavar="cpu|cuda")
    parts = ("world", "updates", "gradients", "training", "memory", "peak")
    parser.add_argument("--only", choices=parts, help="one part")
    options = parser.parse_args()
    settle()

    def report(line: str) -> None:
        sys.stderr.write(line + "\n")

    found: dict[str, Any] = {"machine": machine(options.device)}
    if options.only in (None, "world"):
        found["world_steps_per_second"] = world_speed(options.device, report)
    if options.only in (None, "updates"):
        found["updates"] = update_speed(options.device, report)
    if options.only in (None, "gradients") and options.device == "cpu":
        found["gradients_milliseconds"] = gradient_speed(report)
    if options.only in (None, "training") and options.device == "cpu":
        found["training"] = training_speed(report)
    if options.only in (None, "memory") and options.device == "cpu":
        found["memory"] = memory_speed(report)
    if options.only in (None, "peak") and options.device == "cpu":
        found["peak"] = peak_speed(report)
    text = json.dumps(found, indent=1) + "\n"
    if options.json:
        options.json.write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
