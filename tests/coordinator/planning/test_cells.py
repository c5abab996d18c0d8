"""Numbers and dates of exports: read as they are meant, or refused with the option to give."""

import numpy as np
import pandas as pd
import pytest

from coordinator.planning.cells import as_number, dates, decimal_sign, numbers


@pytest.mark.parametrize(
    ("cells", "sign"),
    [
        *((["3", "12"], "."), (["20,00"], ","), (["1,5", "1.234,5"], ","), (["1.234,5"], ","), (["1,234.5"], ".")),
        *((["1.000", "2,5"], ","), (["1.000", "2.5"], "."), (["1.234.567"], ","), (["1,234,567", "3"], ".")),
        *((["0,125"], ","), (["1234.500"], "."), (["3,5-"], ","), (["(3,5)"], ","), (["1'000", "3"], ".")),
    ],
)
def test_the_decimal_sign_follows_from_cells_that_can_be_read_in_one_way(cells, sign):
    assert decimal_sign(cells)[0] == sign


def test_a_thousand_or_a_fraction_is_never_guessed():
    with pytest.raises(
        ValueError, match=r"'1\.000' may be 1000 or 1\.000, and no other cell.*--decimal '\.' if it is a f"
    ):
        decimal_sign(["5", "1.000"])
    with pytest.raises(ValueError, match=r"'1,250' may be 1250 or 1\.250.*--decimal '\.' if it is a thousand"):
        decimal_sign(["1,250"])
    with pytest.raises(ValueError, match=r"different cells, '2\.5' and '3,5'"):
        decimal_sign(["2.5", "3,5"])


@pytest.mark.parametrize(
    ("cell", "decimal", "value"),
    [
        *(("1.234,50", ",", 1234.5), ("1,234.50", ".", 1234.5), ("1 234,5", ",", 1234.5), ("1'000", ".", 1000)),
        *(("3-", ".", -3), ("(3)", ".", -3), ("'3", ".", 3), ("1E+03", ".", 1000), (" 7 ", ",", 7), (",5", ",", 0.5)),
        *(("1\u00a0000", ",", 1000), ("-0,4", ",", -0.4), ("1.000", ",", 1000), ("1.000", ".", 1)),
    ],
)
def test_a_number_is_read_as_it_is_written(cell, decimal, value):
    assert as_number(cell, decimal) == value


@pytest.mark.parametrize("cell", ["3 pcs", "#REF!", "1.23.456", "1,2,3", "True", "12:30", "1e999", "1.5.2", "--3"])
def test_what_is_no_number_is_refused_with_its_row(cell):
    with pytest.raises(ValueError, match=r"column 'qty', row 2 must be a number, got "):
        numbers(pd.Series(["3", cell]), ".", "sales.csv, column 'qty'")


def test_empty_cells_hold_nothing():
    found = numbers(pd.Series(["3", "", "NA", "-", "n/a"]), ".", "there")
    np.testing.assert_array_equal(found, [3, np.nan, np.nan, np.nan, np.nan])


@pytest.mark.parametrize(
    "cells",
    [
        *(["2011-04-03", "2011-04-13"], ["03.04.2011", "13.04.2011"], ["03/04/2011", "13/04/2011"]),
        *(["04/03/2011", "04/13/2011"], ["20110403", "20110413"], ["2011-04-03 00:00:00", "2011-04-13T12:30:00Z"]),
        *(["03 Apr 2011", "13 Apr 2011"], ["3.4.11", "13.4.11"]),
    ],
)
def test_dates_are_found_in_the_form_that_all_follow(cells):
    days, _ = dates(pd.Series(cells), None, "there")
    assert days.tolist() == np.array(["2011-04-03", "2011-04-13"], dtype="datetime64[D]").tolist()


def test_days_and_months_are_never_guessed():
    with pytest.raises(
        ValueError, match=r"2 ways, such as '03/04/2011': give --date-format %d/%m/%Y or --date-format %m"
    ):
        dates(pd.Series(["03/04/2011", "05/04/2011"]), None, "sales.csv, column 'date'")
    days, _ = dates(pd.Series(["03/04/2011"]), "%m/%d/%Y", "there")
    assert str(days[0]) == "2011-03-04"
    with pytest.raises(ValueError, match=r"must hold dates of one form, got 'soon'"):
        dates(pd.Series(["2011-04-03", "soon"]), None, "there")
