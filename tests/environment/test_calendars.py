"""When a planner's series are ordered and there, against days that are counted one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from environment.calendars import Closed, Rhythm, period_of, weekdays
from tests.oracles import arrival
from tests.random_firms import examples

CLOSED = st.builds(
    Closed, st.sampled_from([(), (5, 6), (0,), (0, 1, 2, 3, 5, 6)]), st.sampled_from([(), (20,), (19, 23)])
)
RHYTHMS = st.one_of(
    st.tuples(st.integers(0, 9), st.sampled_from([(), (0,), (1, 4)]), st.just(1), CLOSED),
    st.tuples(st.integers(0, 9), st.just(()), st.integers(1, 10), CLOSED),
).map(lambda fields: Rhythm(*fields))


@examples(100)
@given(RHYTHMS, st.integers(0, 30))
def test_orders_last_until_those_of_the_next_review_are_there(rhythm, first):
    def closed(day):
        return day % 7 in rhythm.closed.days or day in rhythm.closed.dates

    def reviews(day):
        return day % 7 in rhythm.review_days if rhythm.review_days else day % rhythm.review_period == 0

    for t, (lasts, waits) in enumerate(zip(rhythm.interval(first, 20), rhythm.wait(first, 20), strict=True)):
        morning = first + t
        later = next(day for day in range(morning + 1, morning + 99) if reviews(day))
        now = next(day for day in range(morning, morning + 99) if reviews(day))
        assert morning + lasts == arrival(later, rhythm.lead_time, closed)
        assert morning + waits == arrival(now, rhythm.lead_time, closed)
    if rhythm.steady:
        assert set(rhythm.interval(first, 20)) == {rhythm.lead_time + 1}


def test_periods_of_days_are_weekdays():
    assert [period_of(np.datetime64(day)) % 7 for day in ("2023-01-02", "2023-01-08", "1970-01-05")] == [0, 6, 0]


def test_weekdays_are_read_in_both_languages():
    assert weekdays("Mon Thu") == weekdays("Donnerstag, Montag") == (0, 3)
    assert weekdays("Sa So") == weekdays("sat;sun") == (5, 6)
    assert weekdays("") == ()
    with pytest.raises(ValueError, match=r" must be weekdays such as 'Mon Thu', got 'sometimes'"):
        weekdays("sometimes")
