"""Hooks of mkdocs: README and changelog are pages of the site, so that they are written once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_OUTSIDE = re.compile(r"\[([^\]]*)\]\(\.\./[^)]*\)")


def on_files(files: Files, config: Any) -> Files:  # noqa: ANN401
    """Add the two, with links as from docs/."""
    for source, page in {"README.md": "index.md", "CHANGELOG.md": "changes.md"}.items():
        text = (Path(config["config_file_path"]).parent / source).read_text()
        text = text.replace("](docs/", "](").replace("](CHANGELOG.md)", "](changes.md)")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:  # noqa: ANN401
    """Files outside docs/ are named, without a link."""
    return _OUTSIDE.sub(r"\1", markdown)
