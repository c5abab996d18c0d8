import itertools

import numpy as np
import pytest
from pydantic import ValidationError

from departments.learning.timescale import FAST, SLOW, StepLaw

LAWS = {"fast": FAST, "slow": SLOW, "own": StepLaw(initial=0.01, decay=0.6, delay=10)}


def test_laws_start_and_fall_as_they_say():
    assert (FAST.initial, FAST.decay, SLOW.initial, SLOW.decay) == (2e-3, 0.7, 1e-3, 0.9)
    assert FAST.at(0) == 2e-3
    assert FAST.at(20_000) == pytest.approx(2e-3 * 0.6155722066724582)  # (1/2)^0.7
    assert SLOW.at(180_000) == pytest.approx(1e-3 * 0.12589254117941673)  # (1/10)^0.9


def test_a_law_without_decay_is_a_constant():
    assert {StepLaw(initial=0.02).at(k) for k in (0, 1, 1e9)} == {0.02}


@pytest.mark.parametrize("name", LAWS)
def test_the_sum_of_the_steps_has_no_bound_and_that_of_their_squares_has(name):
    law = LAWS[name]
    places = [np.geomspace(10.0**power, 10.0 ** (power + 1), 200) for power in range(5, 14)]
    decades = [np.trapezoid([law.at(k) for k in place], place) for place in places]
    assert all(later > earlier for earlier, later in itertools.pairwise(decades))  # each decade adds more
    squares = sum(law.at(k) ** 2 for k in range(100_000))
    bound = law.initial**2 * (1 + law.delay / (2 * law.decay - 1))  # 1 + the integral of (d / (d + k))^2c
    assert squares < bound


def test_the_slow_law_falls_without_end_relative_to_the_fast_one():
    ratio = np.array([SLOW.at(k) / FAST.at(k) for k in 10.0 ** np.arange(0, 16)])
    assert (np.diff(ratio) < 0).all()
    assert ratio[-1] < 1e-2


@pytest.mark.parametrize("wrong", [{"initial": 0}, {"initial": 0.1, "decay": 1.1}, {"initial": 0.1, "delay": 0}])
def test_a_law_that_cannot_converge_is_refused(wrong):
    with pytest.raises(ValidationError):
        StepLaw(**wrong)
