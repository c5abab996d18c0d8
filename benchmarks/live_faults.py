"""A running firm while faults are thrown at it, for longer than the tests do; see `tests/live_faults.py`.

python benchmarks/live_faults.py --firm firm --ticks 1000 --faults 60 --mode all

Modes: what is thrown; `all` throws everything but `feed`, and like `disk` needs root, for a file system of its own.
`--firm many` is a warehouse and three shops of 20 products. It ends with 1 if anything is lost, doubled or left.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

from tests.live_faults import MODES, of_many_products, run_faults, run_fed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--firm", default="firm")
    parser.add_argument("--ticks", type=int, default=1000)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mode", choices=[*MODES, "feed"], default="kill")
    asked = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="live-faults-"))
    firm = asked.firm
    if firm == "many":
        firm = str(home / "many.yaml")
        Path(firm).write_text(of_many_products())
    try:
        if asked.mode == "feed":
            found = run_fed(firm, asked.ticks, asked.seed, home)
        else:
            found = run_faults(firm, asked.ticks, asked.faults, asked.seed, home, asked.mode)
        print(json.dumps(found, indent=1))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    sys.exit(1 if found["wrong"] or found["left_running"] or found.get("left_in_tmp") else 0)


if __name__ == "__main__":
    main()
