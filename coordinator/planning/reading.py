"""A table from a file as an ERP wrote it: separator, encoding, title lines; all that was found out is said."""

from __future__ import annotations

import codecs
import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

_SEPARATORS = ";,\t|"
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_SAMPLE = 200  # lines that the separator is found from


@dataclass
class Table:
    """The cells of one file, by the names in its header, and how it was read."""

    path: Path
    cells: pd.DataFrame  # text, or numbers and dates where the file says so itself
    said: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """For people."""
        return self.path.name

    def texts(self, column: str) -> list[str]:
        """The different cells of a column that are text."""
        kept = self.cells[column]
        return [] if pd.api.types.is_numeric_dtype(kept.dtype) else [str(cell) for cell in kept.unique()]


def read_table(path: Path, *, separator: str | None = None, encoding: str | None = None) -> Table:
    """A csv, xlsx or parquet file.

    Args:
        path: of the file.
        separator: of a csv file's cells; found out by default.
        encoding: of a csv file; found out by default.

    Raises:
        ValueError: one line; it cannot be read as a table.
    """
    try:
        if path.suffix.lower() in (".xlsx", ".xlsm"):
            return _typed(path, _workbook(path), "first sheet")
        if path.suffix.lower() in (".parquet", ".pq"):
            return _typed(path, pd.read_parquet(path), "parquet")
        return _csv(path, path.read_bytes(), separator, encoding)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None


def _workbook(path: Path) -> pd.DataFrame:
    try:
        whole = pd.read_excel(path, header=None, dtype=object, engine="openpyxl")
    except ImportError:
        raise ValueError(f"{path.name}: xlsx files need openpyxl: pip install 'firmwide[import]'") from None
    except (ValueError, KeyError) as error:
        raise ValueError(f"{path.name} is no xlsx file: {error}") from None
    width = int(whole.notna().sum(axis=1).mode().max())
    first = int((whole.notna().sum(axis=1) >= width).to_numpy().argmax())
    table = whole.iloc[first + 1 :].reset_index(drop=True).infer_objects()
    table.columns = pd.Index(["" if pd.isna(name) else str(name) for name in whole.iloc[first]])
    return table


def _typed(path: Path, cells: pd.DataFrame, how: str) -> Table:
    """A file that says itself what is text, a number or a date."""
    cells = cells.rename(columns=lambda name: str(name).strip())
    _check_header(path, list(cells.columns))
    for name in cells:
        column = cells[name]
        if column.dtype == object:
            cells[name] = column.map(lambda cell: "" if pd.isna(cell) else str(cell).strip()).astype("category")
    return Table(path, cells, [f"{path.name}: {how}, {len(cells):,} rows"])


def _csv(path: Path, content: bytes, separator: str | None, encoding: str | None) -> Table:
    found = encoding or next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    try:
        text = content.decode(found or "utf-8")
        found = found or "utf-8"
    except UnicodeDecodeError as error:
        if found:
            raise ValueError(f"{path.name} is not {found} (byte {error.start}): give its --encoding") from None
        text, found = content.decode("cp1252", errors="replace"), "cp1252"
    except LookupError:
        raise ValueError(f"--encoding must be one that Python knows, such as utf-8 or cp1252, got {found!r}") from None
    lines = text.split("\n", _SAMPLE)[:_SAMPLE]
    if lines[0].lower().startswith("sep=") and len(lines[0].rstrip()) == 5:
        separator = separator or lines[0][4]
        lines[0] = ""
    separator = separator or _separator(lines)
    widths = [len(next(csv.reader([line], delimiter=separator), [])) if line.strip() else 0 for line in lines]
    if not any(widths):
        raise ValueError(f"{path.name} is empty: it must hold a header and rows")
    width = max(set(widths) - {0}, key=lambda w: (widths.count(w), w))
    # title lines have fewer cells than the table; a header may lack the name of a last, empty column
    skip = next(place for place, count in enumerate(widths) if count >= min(width, max(2, width - 1)))
    cells = _arrow(path, text, separator, skip, width)
    titles = f", {skip} lines before the header" if skip else ""
    told = {"\t": "tab"}.get(separator, separator)
    said = f"{path.name}: separator {told!r}, encoding {found}{titles}, {len(cells):,} rows"
    return Table(path, cells, [said])


def _separator(lines: list[str]) -> str:
    """The sign that parts most lines into the same number of cells, the more the better."""

    def evenness(sign: str) -> tuple[float, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=sign) if row]
        usual = max(set(widths), key=widths.count) if widths else 1
        return (0.0, 1) if usual == 1 else (round(widths.count(usual) / len(widths), 1), usual)

    best = max(_SEPARATORS, key=evenness)
    return best if evenness(best)[1] > 1 else ","


def _arrow(path: Path, text: str, separator: str, skip: int, width: int) -> pd.DataFrame:
    """All cells as text, each different one once: a few million rows take little memory and time."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    first, body = _header(text, skip)
    header = [name.strip() for name in next(csv.reader([first], delimiter=separator), [])]
    if any(header[width:]):
        raise ValueError(f"{path.name}: the header has {len(header)} cells, most rows have {width}")
    names = (header + [""] * width)[:width]
    odd: list[Any] = []

    def keep_track(row: Any) -> str:  # noqa: ANN401
        if row.text.strip(f"{separator} \r") or row.actual_columns > 1:
            odd.append((row.actual_columns, row.text))
        return "skip"

    columns = [f"{place}" for place in range(width)]
    try:
        table = arrow.read_csv(
            io.BytesIO(body.encode()),
            read_options=arrow.ReadOptions(column_names=columns, use_threads=False),
            parse_options=arrow.ParseOptions(delimiter=separator, invalid_row_handler=keep_track),
            convert_options=arrow.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.dictionary(pa.int32(), pa.string())), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        if body.strip():
            raise ValueError(f"{path.name} is not a csv file: {' '.join(str(error).split())}") from None
        raise ValueError(f"{path.name} has a header and no rows") from None
    if odd:
        count, row = odd[0]
        raise ValueError(f"{path.name}: a row has {count} cells where the table has {width}: {row!r:.80}")
    return _stripped(path, table.to_pandas(), names)


def _stripped(path: Path, cells: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Cells without blanks around them, without columns that have neither name nor cells, without blank rows."""
    cells.columns = pd.Index(names)
    empty = [place for place, name in enumerate(names) if not name]
    for place in empty:
        if any(str(cell).strip() for cell in cells.iloc[:, place].unique()):
            raise ValueError(f"{path.name}: column {place + 1} has cells and no name in the header")
    cells = cells.iloc[:, [place for place, name in enumerate(names) if name]]
    _check_header(path, list(cells.columns))
    for name in cells:
        kept = [str(cell).strip() for cell in cells[name].cat.categories]
        if kept != list(cells[name].cat.categories):
            cells[name] = pd.Series(pd.Categorical(cells[name].astype(str).str.strip()))
    blank = pd.Series(True, index=cells.index)
    for name in cells:
        blank &= (cells[name] == "").to_numpy() if "" in cells[name].cat.categories else False
    return cells[~blank].reset_index(drop=True)


def _header(text: str, skip: int) -> tuple[str, str]:
    for _ in range(skip):
        text = text.partition("\n")[2]
    first, _, body = text.partition("\n")
    return first.rstrip("\r"), body


def _check_header(path: Path, names: list[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{path.name}: column {twice!r} stands in the header twice: rename one of them")
