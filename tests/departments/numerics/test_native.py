import shutil
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coordinator.critic.critic import Critic
from coordinator.critic.value_function import CriticConfig, ValueFunction, values_of
from departments.learning.ppo import PPOConfig, Slice, samples_first, update
from departments.numerics import native
from departments.numerics.adam import Adam
from departments.numerics.graph import Graph, GraphConfig, GraphShapes
from departments.numerics.heads import gaussian_log_density
from departments.numerics.networks import Shapes
from environment import NotCompiledError
from environment.toolchain import COMPILERS, compile_cached
from tests.random_firms import examples, firms
from tests.small_firms import perceptron_learner, world_of

ANSWER = '#include "answer.hpp"\nextern "C" int answer() { return answer_is(); }\n'
needs_compiler = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C++ compiler")
WIDTHS = [(3, (), 1), (5, (8,), 2), (17, (64, 64), 4), (2, (40, 130, 7), 3), (70, (16, 48), 20)]
# Inputs, hidden, outputs; nodes, features and constants of each, leading inputs that are seen, units, heads.
GRAPHS = [
    (11, (24, 8), 3, (4, 3, 2, 11, (16, 16, 16), 1)),
    (1, (), 1, (1, 1, 0, 1, (1,), 1)),
    (20, (9,), 3, (7, 5, 3, 6, (6, 4), 2)),
    (9, (17, 33, 5), 3, (20, 2, 0, 5, (12,), 3)),
]
ONE_LEARNS = [(6, (64, 64)), (18, (17, 100)), (3, (128, 17)), (1, (100, 256)), (7, (5, 3, 129)), (20, (33,)), (4, ())]


def graph(generator, nodes, features, constants, seen):
    """Nodes that attend to themselves and to some others, one way or both, and lack some features."""
    rows = torch.randint(seen, (nodes, features), generator=generator)
    rows[torch.rand(nodes, features, generator=generator) < 0.2] = -1
    attends = (torch.rand(nodes, nodes, generator=generator) < 0.4) | torch.eye(nodes, dtype=torch.bool)
    parts = rows, torch.rand(nodes, constants, generator=generator), attends
    return Graph(*(tuple(map(tuple, part.tolist())) for part in parts), seen)


def network(inputs, hidden, outputs, attention=None, seed=1):
    shapes, generator = Shapes(inputs, hidden, outputs), torch.Generator().manual_seed(seed)
    if attention is not None:
        *sizes, layers, heads = attention
        config = GraphConfig(layers=layers, heads=heads)
        shapes = GraphShapes(graph(generator, *sizes), config, inputs, hidden, outputs)
    return shapes, torch.randn(shapes.count, generator=generator) * 0.3, generator


def batch(shapes, flat, generator, periods=6, copies=31):
    observation = torch.randn(periods, shapes.inputs, copies, generator=generator)
    layers, log_std = shapes.split(flat)
    mean = shapes.forward(layers, samples_first(observation), "relu")
    action = mean + torch.randn(mean.shape, generator=generator) * log_std.exp()
    log_prob = gaussian_log_density((action - mean) * torch.exp(-log_std), log_std).view(periods, copies)
    seen = action.view(periods, copies, -1).transpose(1, 2)
    return Slice(observation, seen, log_prob, observation[:1, :0]), torch.randn(periods, copies, generator=generator)


@needs_compiler
@pytest.mark.parametrize("widths", [*WIDTHS, *GRAPHS])
def test_compiled_values_are_those_of_the_network(widths):
    shapes, flat, generator = network(*widths)
    seen = torch.randn(101, widths[0], generator=generator)
    found = native.loops_of(shapes, flat, "relu").values(seen)
    torch.testing.assert_close(found, shapes.forward(shapes.split(flat)[0], seen, "relu"))


@needs_compiler
def test_attention_may_be_paid_to_one_alone():
    shapes, flat, generator = network(*GRAPHS[0])
    layers, _ = shapes.split(flat)
    for part in layers[1]:  # what scores nodes as those that attend, and as those that are attended to
        part *= 1e4
    seen = torch.randn(101, shapes.inputs, generator=generator)
    expected = shapes.forward(shapes.split(flat)[0], seen, "relu")
    torch.testing.assert_close(native.loops_of(shapes, flat, "relu").values(seen), expected, rtol=1e-3, atol=1e-3)


@needs_compiler
@pytest.mark.parametrize("widths", [*WIDTHS, *((*widths, 1) for widths in ONE_LEARNS), *GRAPHS])
@pytest.mark.parametrize(
    "changes",
    [{}, {"entropy_coef": 0.01, "clip_ratio": 0.01}, {"target_kl": 1e-3, "learning_rate": 3e-2}, {"minibatch": 1000}],
)
def test_a_compiled_update_is_the_one_by_hand(widths, changes):
    shapes, flat, generator = network(*widths)
    samples, advantage = batch(shapes, flat, generator)
    found = {}
    for compiled in (True, False):
        config = PPOConfig(**{"minibatch": 60} | changes)
        parameters, optimiser = flat.clone(), Adam.like(flat)
        learner = perceptron_learner(shapes, ppo=config, compiled=compiled)
        rates = {"learning_rate": config.learning_rate, "generator": torch.Generator().manual_seed(7)}
        stats = update(parameters, optimiser, learner, samples, advantage, **rates)
        found[compiled] = (parameters, optimiser.first, optimiser.second, optimiser.steps, torch.tensor(stats))
    assert not torch.equal(found[True][0], flat)
    for one, other in zip(found[True], found[False], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=2e-5)


@needs_compiler
@pytest.mark.parametrize("streams", [[0], [2], [2, 0], [0, 1, 2]])
@pytest.mark.parametrize("samples", [1, 142, 145, 303])
@pytest.mark.parametrize("widths", [*((*widths, 3) for widths in ONE_LEARNS), *GRAPHS[::2], GRAPHS[3]])
def test_gradients_of_one_output_and_of_several_are_those_of_autograd(widths, samples, streams):
    shapes, flat, generator = network(*widths)
    layers, _ = shapes.split(flat)
    for _, bias in layers[-1 - len(shapes.hidden) : -1]:
        bias[::3] = -1e3  # units whose gates are closed to all samples
    seen, target = (torch.randn(samples, size, generator=generator) for size in (shapes.inputs, len(streams)))
    leaf = flat.clone().requires_grad_()
    error = shapes.forward(shapes.split(leaf)[0], seen, "relu")[:, streams] - target
    error.square().mean().backward()
    optimiser, order = Adam.like(flat), torch.stack([torch.randperm(samples, generator=generator) for _ in range(3)])
    loops = native.loops_of(shapes, flat, "relu")
    loops.fit_values(
        optimiser, seen, order, 1, target, streams, 1.0, (0.0, 1e9)
    )  # three times, as its steps are 0 long
    torch.testing.assert_close(optimiser.first, leaf.grad * (1 - 0.9**3), rtol=1e-4, atol=2e-6)


@needs_compiler
def test_a_network_whose_gates_are_all_closed_learns_its_last_bias_only():
    shapes, flat, generator = network(5, (24, 40), 1)
    layers, _ = shapes.split(flat)
    layers[1][1].fill_(-1e3)
    seen, before, optimiser = torch.randn(150, 5, generator=generator), flat.clone(), Adam.like(flat)
    loops, order = native.loops_of(shapes, flat, "relu"), torch.arange(150)[None]
    loops.fit_values(optimiser, seen, order, 1, torch.full((150, 1), 2.0), [0], 1.0, (0.1, 1e9))
    assert (flat != before).nonzero().tolist() == [[len(flat) - 2]]  # a standard deviation follows it


@needs_compiler
@pytest.mark.parametrize("attends", [False, True])
@pytest.mark.parametrize("streams", [[1], [2, 0], [0, 1, 2], [1, 1]])
def test_a_compiled_critic_learns_as_by_hand(streams, attends):
    generator = torch.Generator().manual_seed(2)
    among = graph(generator, 4, 2, 3, 5) if attends else None
    features, reward = (
        torch.randn(9, 5, 40, generator=generator),
        torch.randn(8, 3, 40, generator=generator)[:, streams],
    )
    found = {}
    for compiled in (True, False):
        build = partial(ValueFunction, 5, 3, CriticConfig(minibatch=100), graph=among, compiled=compiled)
        critic, function = Critic(build, 4), build()
        values = values_of(critic.calibrate(streams, reward.numpy()))
        for _ in range(3):
            function.take(values)
            advantages, lesson = function.advantages(streams, features, reward)
            told, state, values = critic.learn(streams, tuple(part.numpy() for part in lesson))
        found[compiled] = [*advantages, *state.values(), *told.values()]
    for one, other in zip(found[True], found[False], strict=True):
        torch.testing.assert_close(torch.as_tensor(one), torch.as_tensor(other), rtol=1e-3, atol=2e-5)


@needs_compiler
@pytest.mark.parametrize("terminated", [False, True])
@pytest.mark.parametrize(("streams", "copies"), [([2], 31), ([0, 3], 200), ([1, 0, 2], 144), ([3], 1)])
def test_compiled_advantages_are_those_by_hand(streams, copies, terminated):
    shapes, flat, generator = network(9, (24, 8), 4)
    found = []
    for compiled in (True, False):
        values = ValueFunction(9, 4, CriticConfig(hidden=(24, 8)), terminated=terminated, compiled=compiled)
        values.parameters, values.mean, values.std = flat[: shapes.count], torch.arange(4.0), torch.arange(4.0) + 0.5
        generator.manual_seed(7)
        features = torch.randn(13, 9, copies, generator=generator)
        reward = torch.randn(12, len(streams), copies, generator=generator)
        advantages, lesson = values.advantages(streams, features, reward)
        found.append([*advantages, *lesson])
    assert len(found[0]) == len(streams) + 2
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


ATTENTION = [GraphConfig(), GraphConfig(layers=(4, 6), heads=2), GraphConfig(directed=True, features="position")]


@needs_compiler
@examples(12)
@given(firms(), st.sampled_from(ATTENTION), st.integers(0, 1000))
def test_attention_over_any_supply_network_is_that_of_autograd_in_double_precision(firm, attention, seed):
    _, observer = world_of(firm)
    shapes = GraphShapes(Graph.of(observer, observer.size, attention), attention, observer.size, (8,), 2)
    flat, generator = torch.tensor(shapes.initial(0.0, seed)), torch.Generator().manual_seed(seed)
    flat += 0.1 * torch.randn(shapes.count, generator=generator)
    seen, target = torch.randn(50, observer.size, generator=generator), torch.randn(50, 2, generator=generator)
    leaf = flat.double().requires_grad_()
    values = shapes.forward(shapes.split(leaf)[0], seen.double(), "relu")
    (values - target).square().mean().backward()
    loops, optimiser = native.loops_of(shapes, flat, "relu"), Adam.like(flat)
    torch.testing.assert_close(loops.values(seen), values.detach().float(), rtol=1e-4, atol=1e-5)
    loops.fit_values(optimiser, seen, torch.arange(50)[None], 1, target, [0, 1], 1.0, (0.0, 1e9))
    torch.testing.assert_close(optimiser.first, leaf.grad.float() * 0.1, rtol=1e-3, atol=1e-5)


def written(path, text):
    path.write_text(text)
    return path


@needs_compiler
def test_what_was_compiled_is_kept_and_used_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source, header = written(tmp_path / "answer.cpp", ANSWER), tmp_path / "answer.hpp"
    header.write_text("inline int answer_is() { return 42; }\n")
    assert compile_cached(source, ()).answer() == 42
    (library,) = (tmp_path / "firmwide").iterdir()  # and nothing that was left over from building
    before = library.stat().st_mtime_ns
    assert compile_cached(source, ()).answer() == 42
    assert library.stat().st_mtime_ns == before
    with pytest.raises(NotCompiledError, match=r"failed: .*error"):
        compile_cached(written(tmp_path / "wrong.cpp", "this is no C++"), ())
    assert list((tmp_path / "firmwide").iterdir()) == [library]
    header.write_text("inline int answer_is() { return 43; }\n")
    assert compile_cached(source, ()).answer() == 43, "a header that changed makes another library"


@needs_compiler
def test_where_nothing_can_be_kept_it_is_built_for_the_process(tmp_path, monkeypatch):
    (tmp_path / "answer.hpp").write_text("inline int answer_is() { return 43; }\n")
    source, no_folder = written(tmp_path / "answer.cpp", ANSWER), tmp_path / "file"
    no_folder.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(no_folder))
    assert compile_cached(source, ()).answer() == 43
    assert no_folder.read_text() == ""
    everyones = tmp_path / "firmwide"
    everyones.mkdir()
    everyones.chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compile_cached(source, ()).answer() == 43
    assert list(everyones.iterdir()) == []


def test_a_machine_without_a_compiler_learns_by_hand(monkeypatch, tmp_path):
    shapes, flat, generator = network(4, (8, 8), 1)
    samples, advantage = batch(shapes, flat, generator)
    monkeypatch.setenv("PATH", str(tmp_path))
    native._library.cache_clear()
    try:
        assert native.loops_of(shapes, flat, "relu") is None
        assert "no C++ compiler is on the path" in native.why_not()
        before = flat.clone()
        learner = perceptron_learner(shapes)
        rates = {"learning_rate": 1e-3, "generator": torch.Generator().manual_seed(7)}
        stats = update(flat, Adam.like(flat), learner, samples, advantage, **rates)
        assert stats.grad_norm > 0
        assert not torch.equal(flat, before)
    finally:
        native._library.cache_clear()


@pytest.mark.parametrize("sizes", [(4, (8, 8), 1), GRAPHS[0]])
def test_tanh_and_double_precision_are_left_to_the_passes_by_hand(sizes):
    shapes, flat, _ = network(*sizes)
    assert native.loops_of(shapes, flat, "tanh") is None
    assert native.loops_of(shapes, flat.double(), "relu") is None
