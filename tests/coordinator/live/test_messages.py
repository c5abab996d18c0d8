import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from coordinator.live.messages import read, written

_PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
_KINDS = st.sampled_from(["f4", "f8", "i8", "?"])
_ARRAYS = _KINDS.flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, min_side=0, max_dims=4)))
_MESSAGES = st.recursive(_PLAIN | _ARRAYS, lambda some: st.lists(some) | st.dictionaries(st.text(), some))


def _same(one, other):
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


@given(_MESSAGES)
def test_what_is_read_is_what_was_written(value):
    assert _same(value, read(written(value)))


def test_arrays_in_other_orders_arrive_as_they_are_and_can_be_changed():
    sent = np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1)[::2]
    (got,) = read(written([sent]))
    assert (got == sent).all()
    got += 1.0
    assert (got == sent + 1.0).all()


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array([object()])])
def test_what_is_no_plain_value_is_refused(value):
    with pytest.raises(TypeError, match="a message cannot hold"):
        written(value)
