"""A running firm while faults are thrown at it, for longer than the tests do; see `tests/live_faults.py`.

python benchmarks/live_faults.py --firm firm --ticks 1000 --faults 60 --mode all

Modes: what is thrown; `all` throws everything but `feed`. `--firm many` is a warehouse and three shops of 20 products.
It runs in namespaces of its own, where nobody else has a process or a file in /tmp, so it sees whatever is left there.
It ends with 1 if anything is lost, doubled or left.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

from tests.live_faults import MODES, STAYS, of_many_products, run_faults, run_fed
from tests.live_firms import until

_ALONE = ["unshare", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
_FIRST = ["bash", "-c", 'mount -t tmpfs none /tmp && "$@"; exit $?', "first"]  # it also buries who has no parent
_INSIDE = "--inside"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--firm", default="firm")
    parser.add_argument("--ticks", type=int, default=1000)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mode", choices=[*MODES, "feed"], default="kill")
    parser.add_argument(_INSIDE, action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if not asked.inside:
        os.execvp(_ALONE[0], [*_ALONE, *_FIRST, sys.executable, *sys.argv, _INSIDE])
    before = everything()
    home = Path(tempfile.mkdtemp(prefix="live-faults-"))
    firm = asked.firm
    if firm == "many":
        firm = str(home / "many.yaml")
        Path(firm).write_text(of_many_products())
    try:
        if asked.mode == "feed":
            found = run_fed(firm, asked.ticks, asked.seed, home)
        else:
            found = run_faults(
                firm,
                asked.ticks,
                asked.faults,
                asked.seed,
                home,
                asked.mode,
                lambda line: print(line, file=sys.stderr, flush=True),
            )
    finally:
        shutil.rmtree(home, ignore_errors=True)
    with contextlib.suppress(AssertionError):
        until(lambda: everything() <= before)  # Ray's workers end by themselves, after their raylet
    found["left"] = sorted(everything() - before)
    print(json.dumps(found, indent=1))
    bad = [found.get(each) for each in ("wrong", "left", "left_running", "left_in_tmp", "unpickled")]
    sys.exit(any([*bad, set(found.get("left_in_the_folder", ())) - STAYS]))


def everything() -> set[str]:
    """All processes and all of /tmp."""
    found = {str(path) for path in Path("/tmp").rglob("*")}
    for about in Path("/proc").glob("[0-9]*/cmdline"):
        if about.parent.name not in ("1", str(os.getpid())):
            with contextlib.suppress(OSError):  # it has just ended
                called = about.read_bytes().decode()  # nothing: it has ended, and its parent is one of us
                found |= {f"{about.parent.name} {called!r}"} if called else set()
    return found


if __name__ == "__main__":
    main()
