"""Starts a firm again whose Ray was broken, as it was run before; a process that its keeper leaves behind."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from coordinator.live.start import Opening, open_firm


def begin_again(folder: Path, options: dict[str, float]) -> None:
    """Put a firm back into operation."""
    asked = Opening(None, folder.name, folder.parent, **options)  # type: ignore[arg-type]
    open_firm(asked, lambda line: print(line, flush=True)).close()


if __name__ == "__main__":
    begin_again(Path(sys.argv[1]), json.loads(sys.argv[2]))
