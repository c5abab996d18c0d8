import shutil

import pytest
import torch

from environment import World, draws, load_firm
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
    for copies in (1, 37, 300):
        drawn, expected = (one.draw(9, copies, one.generator(5, copies)) for one in (in_core, world))
        for field, found, wanted in zip(drawn._fields, drawn, expected, strict=True):
            assert (found is None) == (wanted is None), field
            assert found is None or (found.dtype == wanted.dtype and torch.equal(found, wanted)), field


def test_words_are_those_of_pytorchs_generator_which_goes_on_from_there():
    draws.prepare()
    assert draws._known(), "the state of PyTorch's generator is another one: it draws by itself, which takes longer"
    ours, theirs = (torch.Generator().manual_seed(3) for _ in range(2))
    for count in (1, 2, 311, 312, 313, 624, 5, 9999):
        expected = torch.empty(count, dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None, generator=theirs)
        assert torch.equal(draws.words(count, ours), expected)
        assert torch.equal(torch.randn(3, generator=ours), torch.randn(3, generator=theirs))
        assert torch.equal(ours.get_state(), theirs.get_state())
