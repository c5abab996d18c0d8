"""Sales histories that cannot be drawn from: each is refused with one line."""

import re

import pytest

from environment import load_firm

FIRM = "name: small\nstock_points: {{shop: {{holding_cost: 1, max_order: 40, demand: {}}}}}\n"


def refused(folder, demand):
    path = folder / "firm.yaml"
    path.write_text(FIRM.format(demand))
    with pytest.raises(ValueError, match=r"stock_points\.shop\.demand") as caught:
        load_firm(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


HISTORIES = {
    "no such file": (None, "sales", r"demand\.file must be an existing csv file, got '.*sales\.csv'"),
    "empty file": ("", "sales", r"demand\.file '.*' is not a csv file with a header"),
    "no rows": ("sales\n", "sales", r"demand\.column 'sales' of sales\.csv must hold a number.*it has no rows"),
    "no such column": ("day,sold\n1,2\n", "sales", r"demand\.column must be one of .* \(day, sold\), got 'sales'"),
    "column number": ("3\n1\n", "3", r"demand\.column must be text, got 3: put it in quotes"),
    "negative": ("sales\n3\n-1\n", "sales", r"column 'sales' of sales\.csv must hold .* at least 0 .*row 2 holds .*-1"),
    "missing": ("day,sales\n1,3\n2,\n", "sales", r"column 'sales' .*: row 2 holds ''"),
    "negative whole": ("sales\n3\n-2\n", "sales", r"row 2 holds '-2'$"),
    "twice": ("day,sales,sales\n1,3,70\n", "sales", r"'sales' stands in the header of sales\.csv twice"),
    "longer than the header": ("day,sales\n1,3,\n2,5,\n", "sales", r"line 2 has 3 cells between commas, the header 2$"),
    "decimal commas": (
        "day;sales\n1;3,5\n",
        "sales",
        r"the header 1; it is split by semicolons, as `firmwide import` reads it$",
    ),
    "twice but for blanks": ("sales, sales\n3,4\n", "sales", r"'sales' stands in the header of sales\.csv twice"),
    "thousands": ('day,sales\n1,"1,200"\n', "sales", r"column 'sales' .*: row 1 holds '1,200'$"),
    "minus behind": ("sales\n3-\n", "sales", r"column 'sales' .*: row 1 holds '3-'$"),
    "minus as brackets": ("sales\n(3)\n", "sales", r"column 'sales' .*: row 1 holds '\(3\)'$"),
    "text of a sheet": ("sales\n'3\n", "sales", r"column 'sales' .*: row 1 holds \"'3\"$"),
    "error of a sheet": ("sales\n#REF!\n", "sales", r"column 'sales' .*: row 1 holds '#REF!'$"),
    "not available": ("sales\n3\nNA\n", "sales", r"column 'sales' .*: row 2 holds 'NA'$"),
    "truth": ("sales\nTrue\n", "sales", r"column 'sales' .*: row 1 holds 'True'$"),
    "with a unit": ("sales\n3 pcs\n", "sales", r"column 'sales' .*: row 1 holds '3 pcs'$"),
    "shorter than the header": ("day,sales\n1,3\n2\n", "sales", r"column 'sales' .*: row 2 holds ''$"),
    "separator line": ("sep=,\nday,sales\n1,3\n", "sales", r"demand\.column must be one of .*\(sep=, \), got 'sales'$"),
    "title": ("Sales of May\nday,sales\n1,3\n", "sales", r"line 2 has 2 cells between commas, the header 1$"),
    "tabs": ("day\tsales\n1\t3\n", "sales", r"got 'sales': the file is split by '\\t', write commas$"),
    "text": ("sales\n3\nmany\n", "sales", r"column 'sales' .*: row 2 holds 'many'"),
    "infinite": ("sales\n3\ninf\n", "sales", r"column 'sales' .*: row 2 holds .*inf"),
    "half a unit": (
        "sales\n3\n0.4\n",
        "sales",
        r"column 'sales' of sales\.csv must hold whole units, row 2 holds 0\.4: say how much a unit is.*unit: 0\.05",
    ),
    "semicolons alone": ("day;sales\n1;3\n", "sales", r"\(day;sales\), got 'sales': the file is split by ';'"),
    "several series": (
        "date,item,sales\n2025-01-01,a,3\n2025-01-01,b,9\n2025-01-02,a,3\n2025-01-02,b,9\n",
        "sales",
        r"demand\.file sales\.csv has several rows for 2025-01-01: let `firmwide import` split it",
    ),
    "huge": (
        "sales\n3\n1e9\n",
        "sales",
        r"column 'sales' of sales\.csv must stay at or below 1000000 units, got 1e\+09",
    ),
}


@pytest.mark.parametrize("case", HISTORIES)
def test_a_history_that_is_no_sales_history_is_refused_with_one_line(case, tmp_path):
    content, column, expected = HISTORIES[case]
    if content is not None:
        (tmp_path / "sales.csv").write_text(content)
    assert re.search(expected, refused(tmp_path, f"{{law: history, file: sales.csv, column: {column}}}"))


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ("10", r"scale_to_mean cannot scale column 'sales' of sales\.csv: all its sales are 0"),
        ("0", r"scale_to_mean must be a number above 0 and at most 100000, got 0"),
        ("'10'", r"scale_to_mean must be a number .*got '10': remove the quotes"),
    ],
)
def test_a_history_that_cannot_be_scaled_is_refused(scale, expected, tmp_path):
    (tmp_path / "sales.csv").write_text("sales\n0\n0\n")
    law = f"{{law: history, file: sales.csv, column: sales, scale_to_mean: {scale}}}"
    assert re.search(expected, refused(tmp_path, law))


def test_a_history_that_is_not_utf_8_is_refused(tmp_path):
    (tmp_path / "sales.csv").write_bytes("sales\n3\nStück\n".encode("latin-1"))
    assert "its text is not UTF-8: save it as UTF-8" in refused(
        tmp_path, "{law: history, file: sales.csv, column: sales}"
    )
