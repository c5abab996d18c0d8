"""Policies that come over the wire: a run folder as a zip, checked name by name, kept under the firm's folder.

What the files hold is examined by the swap that follows, as of any run; here they must be what a run folder has, of
bearable size, and nothing that leads out of it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

MOST_FILES = 4000
MOST_UNPACKED = 64 * 2**20  # bytes
MOST_KEPT = 100  # uploads of a firm
PREFIX = "uploads/"
NAME = r"[a-z0-9][a-z0-9-]{0,40}"
_MOST_TEXT = 2**18  # bytes of a json or yaml
_VERSION = r"(0|[1-9][0-9]{0,8})"
_DEPARTMENT = r"[\w%-]{1,240}"  # `file_name` of a firm file's names
_WANTED = re.compile(rf"firm\.yaml|(settings|current|base)\.json|policies/{_DEPARTMENT}/{_VERSION}\.(json|safetensors)")
_TOP = re.compile(r"(?:[^/\\]{1,100}/){0,8}firm\.yaml")
_LEFT_OUT = re.compile(r"[a-z-]+\.(csv|png|html|parquet)|result\.json|checkpoint\.safetensors|plan\.json")
_MOST_DEEP = 20  # a firm file needs eight
_OPENS = (
    yaml.FlowSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.BlockMappingStartToken,
)
_CLOSES = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def keep_upload(folder: Path, name: str, content: bytes, weigh: Callable[[Path], None] = lambda _: None) -> str:
    """Keep a run folder that came as a zip.

    Args:
        folder: of the firm.
        name: for people, such as the run's.
        content: of the zip: firm.yaml, settings.json and policies/DEPARTMENT/VERSION.safetensors beside json; base.json
            and current.json where the run has them. What else a run folder has is left out.
        weigh: is shown the folder before it is kept, and may refuse it.

    Returns:
        What a swap takes as its policy: `uploads/NAME-DIGEST`. The same content is kept once.

    Raises:
        ValueError: one line; nothing has been kept.
    """
    if not re.fullmatch(NAME, name):
        raise ValueError(f"name must be lower-case letters, digits and '-', at most 41 of them, got {ascii(name)[:80]}")
    files = _files(content)
    _check(files)
    kept = f"{name}-{hashlib.sha256(content).hexdigest()[:8]}"
    place = folder / PREFIX / kept
    if place.is_dir():
        return PREFIX + kept
    place.parent.mkdir(exist_ok=True)
    if sum(1 for _ in place.parent.iterdir()) >= MOST_KEPT:
        raise ValueError(f"{place.parent} holds {MOST_KEPT} uploads already: remove some")
    beside = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
    try:
        for path, written in files.items():
            (beside / path).parent.mkdir(parents=True, exist_ok=True)
            (beside / path).write_bytes(written)
        weigh(beside)
        beside.rename(place)
    except BaseException as error:
        shutil.rmtree(beside)
        if not isinstance(error, OSError) or not place.is_dir():  # somebody else has kept the same just now
            raise
    return PREFIX + kept


def where_uploaded(folder: Path, policy: str) -> str:
    """A swap's policy with an upload's name replaced by where it is kept.

    Raises:
        ValueError: there is no such upload.
    """
    if not policy.startswith(PREFIX):
        return policy
    name, at, version = policy.removeprefix(PREFIX).partition("@")
    place = folder / PREFIX / name
    if not re.fullmatch(rf"{NAME}-[0-9a-f]{{8}}", name) or not place.is_dir():
        raise ValueError(f"policy {ascii(policy)[:80]} was not uploaded to this firm")
    return os.fspath(place.resolve()) + at + version


def _files(content: bytes) -> dict[str, bytes]:
    """What is wanted of a zip, by path in the run folder."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            entries = _entries(packed)
            return {path: packed.read(entry) for path, entry in entries.items()}
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OverflowError, zlib.error) as error:
        raise ValueError(f"the upload is not a zip that can be read: {_line(error)}") from None
    except (NotImplementedError, RuntimeError) as error:  # an encrypted member
        raise ValueError(f"the upload must be a plain zip, without a password: {_line(error)}") from None


def _entries(packed: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    found = [entry for entry in packed.infolist() if not entry.is_dir()]
    if len(found) > MOST_FILES:
        raise ValueError(f"the upload may hold at most {MOST_FILES} files, got {len(found)}")
    top = next((e.filename.removesuffix("firm.yaml") for e in found if _TOP.fullmatch(e.filename)), None)
    if top is None:
        raise ValueError("the upload must be a run folder: it has no firm.yaml")
    wanted: dict[str, zipfile.ZipInfo] = {}
    for entry in found:
        path = entry.filename.removeprefix(top)
        inside = entry.filename.startswith(top)
        if inside and _LEFT_OUT.fullmatch(path):
            continue
        if not inside or not _WANTED.fullmatch(path):
            raise ValueError(f"{ascii(entry.filename)[:120]} is no file of a run folder: leave it out of the upload")
        if path in wanted:
            raise ValueError(f"{path} is in the upload twice: leave one out")
        _check_entry(path, entry)
        wanted[path] = entry
    unpacked = sum(entry.file_size for entry in wanted.values())
    if unpacked > MOST_UNPACKED:
        raise ValueError(f"the upload may unpack to at most {MOST_UNPACKED} bytes, got {unpacked}")
    return wanted


def _check_entry(path: str, entry: zipfile.ZipInfo) -> None:
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise ValueError(f"{path} must be a plain file")
    if entry.compress_type not in _PACKED:
        raise ValueError(f"{path} must be stored or deflated, as `zip` does by default")
    if not path.endswith(".safetensors") and entry.file_size > _MOST_TEXT:
        raise ValueError(f"{path} may hold at most {_MOST_TEXT} bytes, got {entry.file_size}")


def _check(files: dict[str, bytes]) -> None:
    if "settings.json" not in files:
        raise ValueError("the upload must be a run folder: it has no settings.json")
    policies = [path for path in files if path.startswith("policies/")]
    if not policies:
        raise ValueError("the upload holds no policy: policies/DEPARTMENT/VERSION.safetensors and .json")
    for path in policies:
        stem, _, kind = path.rpartition(".")
        other = f"{stem}.{'json' if kind == 'safetensors' else 'safetensors'}"
        if other not in files:
            raise ValueError(f"{path} needs {other} beside it")
    for path, content in files.items():
        if path.endswith(".json"):
            kept = _json(path, content)
            if path == "current.json" and not all(type(version) is int and version >= 0 for version in kept.values()):
                raise ValueError("current.json must give a version, a whole number, by department")
    _check_firm(files["firm.yaml"])


def _json(path: str, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not json: {_line(error)}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} must hold an object, got {type(found).__name__}")
    return found


def _check_firm(content: bytes) -> None:
    """A run's firm stands by itself: it names no other file, and repeats nothing by reference."""
    try:
        text = content.decode("utf-8")
        _check_plain(text)
        names_a_file = _names_a_file(yaml.safe_load(text))
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"firm.yaml is not YAML: {_line(error)}") from None
    if names_a_file:
        raise ValueError("firm.yaml must stand by itself, as a run has it: it may name no other file")


def _check_plain(text: str) -> None:
    depth = 0
    for token in yaml.scan(text):
        if isinstance(token, (yaml.AliasToken, yaml.AnchorToken, yaml.TagToken)):
            raise ValueError("firm.yaml must be plain YAML, as a run has it: without anchors, aliases and tags")
        depth += isinstance(token, _OPENS)
        depth -= isinstance(token, _CLOSES)
        if depth > _MOST_DEEP:
            raise ValueError(f"firm.yaml may be nested at most {_MOST_DEEP} deep")


def _names_a_file(found: object) -> bool:
    if isinstance(found, dict):
        return ("file" in found and found.get("law") == "history") or any(map(_names_a_file, found.values()))
    return isinstance(found, list) and any(map(_names_a_file, found))


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
