"""A running firm while faults are thrown at it, for longer than the tests do; see `tests/live_faults.py`.

python benchmarks/live_faults.py --firm firm --ticks 1000 --faults 50
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

from tests.live_faults import run_faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--firm", default="firm")
    parser.add_argument("--ticks", type=int, default=1000)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="live-faults-"))
    try:
        print(json.dumps(run_faults(asked.firm, asked.ticks, asked.faults, asked.seed, home), indent=1))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    sys.exit(0)


if __name__ == "__main__":
    main()
