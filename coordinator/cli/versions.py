"""`firmwide versions`."""

from __future__ import annotations

from pathlib import Path

from coordinator.cli.options import HomeOption, JsonOption, RunOrNameArgument
from coordinator.cli.show import show, show_json
from coordinator.live.home import HOME


def versions(name: RunOrNameArgument, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """The policies that a run or a running firm keeps: what `swap --policy RUN@VERSION` may name."""
    from rich.table import Table

    from coordinator.live.home import folder_of
    from coordinator.runs.policy_source import kept_versions

    rows = kept_versions(Path(name) if (Path(name) / "settings.json").is_file() else folder_of(name, home))
    if as_json:
        return show_json(rows)
    table = Table("department", "version", "policy", "counts", "came by", show_edge=False, pad_edge=False)
    for row in rows:
        came = ", ".join(f"{key} {value}" for key, value in row["came_by"].items() if key not in ("run", "policy"))
        table.add_row(row["department"], str(row["version"]), row["policy"], "yes" * row["counts"], came)
    return show(table)
