import shutil

import pytest
import torch

from environment import World, load_firm
from environment.toolchain import COMPILERS
from tests.small_firms import tree, world_of
from tests.small_markets import market

pytestmark = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C++ compiler")


@pytest.mark.parametrize("firm", ["a1", "b3", "c3", "d5", tree(products=("tea", "rice")), market()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_looked_up_in_the_core_is_what_pytorch_looks_up_to_the_bit(firm, dtype):
    firm = load_firm(firm) if isinstance(firm, str) else firm
    world, _ = world_of(firm, dtype=dtype)
    in_core = World(firm, world.reset(1).on_hand.numpy()[..., 0], dtype=dtype)
    in_core.draw_in_core()
    for copies in (1, 37):
        drawn, expected = (one.draw(9, copies, one.generator(5, copies)) for one in (in_core, world))
        for field, found, wanted in zip(drawn._fields, drawn, expected, strict=True):
            assert (found is None) == (wanted is None), field
            assert found is None or (found.dtype == wanted.dtype and torch.equal(found, wanted)), field
