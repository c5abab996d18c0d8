import datetime

import numpy as np
import pytest
from pydantic import ValidationError

from environment.fields import Checked, listed, number, one_of, per_name, refusal, shown, text, whole


class Box(Checked):
    """A record to check."""

    width: int = 1
    height: int = 2


@pytest.mark.parametrize("value", [0, 5, 5.0, np.int64(3), np.float64(2.0)])
def test_whole_numbers_are_taken_however_they_are_written(value):
    assert whole(0, 5).func(value) == value


@pytest.mark.parametrize(
    "value", [-1, 6, 0.5, True, "3", None, [], float("nan"), float("inf"), 3j, datetime.date.today()]
)
def test_what_is_no_whole_number_in_range_is_refused(value):
    with pytest.raises(ValueError, match=r" must be a whole number from 0 to 5, got "):
        whole(0, 5).func(value)


def test_a_number_may_have_to_lie_above_its_bound_or_be_left_out():
    assert number(0, 1).func(0) == 0
    assert number(0, 1, optional=True).func(None) is None
    with pytest.raises(ValueError, match="above 0 and at most 1, got 0"):
        number(0, 1, above=True).func(0)


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (number(0, 9).func, "1.5", r"got '1\.5': remove the quotes"),
        (number(0, 9).func, "much", r"got 'much'$"),
        (text().func, 3, r" must be text, got 3: put it in quotes"),
        (one_of("a", "b").func, "c", r" must be a or b, got 'c'"),
        (listed("names").func, "tea", r" must be a list of names, got 'tea'"),
    ],
)
def test_a_refusal_says_what_is_allowed_what_came_and_the_cure(check, value, message):
    with pytest.raises(ValueError, match=message):
        check(value)


def test_a_value_may_be_given_once_or_by_name():
    assert per_name(whole(0, 9).func, 3) == 3
    assert per_name(whole(0, 9).func, {"tea": 1, 2: 4}) == {"tea": 1, "2": 4}
    with pytest.raises(ValueError, match=r"^\.tea must be a whole number"):
        per_name(whole(0, 9).func, {"tea": -1})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"widht": 3}, "widht is not a known field: did you mean 'width'? known are width, height"),
        ({"colour": 3}, "colour is not a known field: remove it; known are width, height"),
        (3, "must be a mapping with the fields width, height, got 3"),
        ({"width": "x\ny" * 500}, "width: "),
    ],
)
def test_a_record_is_refused_in_one_line(content, message):
    with pytest.raises(ValidationError) as caught:
        Box.model_validate(content)
    line = refusal(caught.value)
    assert message in line
    assert "\n" not in line
    assert len(line) < 250


def test_what_came_is_shown_in_short():
    assert shown(None) == "nothing"
    assert len(shown("x" * 1000)) < 80
    assert len(shown([[["x" * 100] * 100] * 100] * 100)) < 2000


def test_numbers_of_numpy_are_shown_as_plain_ones():
    assert shown(np.int64(-2)) == "-2"
    assert shown([np.float64(0.5), {"a": np.int64(3)}]) == "[0.5, {'a': 3}]"
