"""Names of stock points and products: any text that an ERP may hold, and its safe form where it becomes a file's."""

from __future__ import annotations

from urllib.parse import quote, unquote

MAX_NAME = 100  # letters
MAX_FILE_NAME = 240  # bytes, of what is allowed in a folder less a version and an ending


def fault(name: str) -> str:
    """Why a text cannot be a name; '' if it can."""
    if not name or name != name.strip() or not name.isprintable():
        return "names begin and end with a printed letter and stand on one line"
    if len(name) > MAX_NAME:
        return f"names have at most {MAX_NAME} letters, got {len(name)}"
    if len(file_name(name).encode()) > MAX_FILE_NAME:
        return f"names have at most {MAX_FILE_NAME} bytes where files are named by them"
    return ""


def file_name(name: str) -> str:
    """The name as that of a file, folder or actor: letters, digits, `-` and `_` stay; others become %XX.

    `00123` and `münchen` stay, `A/4 grün` is `A%2F4%20grün`; `name_of_file` leads back.
    """
    return "".join(letter if letter.isalnum() or letter in "-_" else quote(letter, safe="") for letter in name).replace(
        ".", "%2E"
    )


def name_of_file(written: str) -> str:
    """What `file_name` was made from."""
    return unquote(written)
