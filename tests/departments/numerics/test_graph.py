import numpy as np
import pytest
import torch

from departments.numerics.graph import Graph, GraphConfig, GraphShapes, graph_attention
from departments.policies.policy import FIRM, PolicyConfig
from departments.policies.spec import DepartmentSpec
from environment.observation import Observer
from tests import oracles
from tests.small_firms import pair, tree, world_of

LINKS = [[0, 1, 2], [0, 1], [0, 2, 3], [2, 3]]  # whom each of four nodes attends to


def closed(links):
    mask = torch.full((len(links), len(links)), -torch.inf, dtype=torch.float64)
    for node, others in enumerate(links):
        mask[node, others] = 0.0
    return mask


def random_layer(heads, size, inputs, seed=0):
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    return draw(heads * size, inputs), draw(heads, size), draw(heads, size), draw(heads * size)


@pytest.mark.parametrize(("heads", "size"), [(1, 3), (2, 2)])
def test_attention_is_that_of_an_obvious_loop(heads, size):
    weight, target, source, bias = random_layer(heads, size, 5)
    hidden = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    seen = graph_attention(hidden, weight, target, source, bias, closed(LINKS))
    parts = [
        (w.tolist(), target[head].tolist(), source[head].tolist(), b.tolist())
        for head, (w, b) in enumerate(zip(weight.split(size), bias.split(size), strict=True))
    ]
    expected = [oracles.graph_attention(sample.tolist(), LINKS, parts) for sample in hidden]
    torch.testing.assert_close(seen, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("heads", [1, 4])
def test_attention_is_that_of_torch_geometric(heads):
    geometric = pytest.importorskip("torch_geometric.nn")
    layer = geometric.GATConv(5, 8 // heads, heads=heads).double()
    weight, target, source, bias = random_layer(heads, 8 // heads, 5)
    with torch.no_grad():
        layer.lin.weight.copy_(weight)
        layer.att_dst.copy_(target[None])
        layer.att_src.copy_(source[None])
        layer.bias.copy_(bias)
    edges = torch.tensor([(j, i) for i, others in enumerate(LINKS) for j in others if i != j]).T
    hidden = torch.randn(4, 5, dtype=torch.float64)
    seen = graph_attention(hidden[None], weight, target, source, bias, closed(LINKS))[0]
    torch.testing.assert_close(seen, layer(hidden, edges))


def _firms_network(heads=2, hidden=(8,)):
    world, observer = world_of(tree(), "benchmark")
    config = PolicyConfig(observation="pipeline", hidden=hidden, graph=GraphConfig(layers=(4, 6), heads=heads))
    return DepartmentSpec.of(world, observer, FIRM, config).shapes, observer


def test_a_network_starts_as_the_constant_0_and_its_vector_holds_every_parameter_once():
    shapes, observer = _firms_network()
    flat = torch.from_numpy(shapes.initial(np.log(0.3), 3))
    assert len(flat) == shapes.count
    layers, log_std = shapes.split(flat)
    assert sum(part.numel() for layer in layers for part in layer) + log_std.numel() == len(flat)
    inputs = torch.randn(7, observer.size)
    assert not shapes.forward(layers, inputs, "relu").any()
    moved = flat + 0.1 * torch.randn(len(flat), generator=torch.Generator().manual_seed(0))
    moved.requires_grad_()
    out = shapes.forward(shapes.split(moved)[0], inputs, "tanh")
    assert out.shape == (7, 3)
    (gradient,) = torch.autograd.grad(out.square().sum(), moved)
    assert (gradient[: -log_std.numel()] != 0).float().mean() > 0.9
    assert not gradient[-log_std.numel() :].any()


def test_a_node_hears_of_nodes_that_are_as_far_as_there_are_layers():
    """East does not meet west: what west sees reaches east's units by way of the depot, in the second layer."""
    world, observer = world_of(tree(), "benchmark")
    graph = Graph.of(observer, observer.positions, GraphConfig())
    assert [[j for j in range(3) if row[j]] for row in graph.neighbours] == [[0, 1, 2], [0, 1], [0, 2]]
    east, west = (world.firm.names.index(name) for name in ("east", "west"))
    for depth, heard in ((1, False), (2, True)):
        shapes = GraphShapes(graph, GraphConfig(layers=(5,) * depth), 3, (), 1)
        flat = torch.tensor(shapes.initial(0.0, 1))
        layers, _ = shapes.split(flat)
        layers[-1][0][0, east * 5 : east * 5 + 5] = 1.0  # the perceptron listens to east's units alone
        inputs = torch.randn(64, 3, generator=torch.Generator().manual_seed(2))
        other = inputs.clone()
        other[:, west] += 1.0
        same = torch.equal(shapes.forward(layers, inputs, "tanh"), shapes.forward(layers, other, "tanh"))
        assert same is not heard


@pytest.mark.parametrize("observation", ["everything", "pipeline"])
def test_the_papers_graph_has_directed_edges_and_positions_alone(observation):
    """A store hears of its depot, a depot of nobody, and what is no position moves nothing."""
    world, observer = world_of(tree(), "benchmark")
    names, attention = list(world.firm.names), GraphConfig(layers=(4, 6), directed=True, features="position")
    config = PolicyConfig(observation=observation, hidden=(), graph=attention)
    shapes = DepartmentSpec.of(world, observer, FIRM, config).shapes
    flat = torch.tensor(shapes.initial(0.0, 1))
    assert len(flat) == shapes.count == (4 + 12) + (24 + 18) + (3 * 6 + 3) * 3 + 3 + 3  # of 1, 4 and 6 features a node
    layers, _ = shapes.split(flat)
    weight = layers[-1][0]
    weight[:, : 3 * 6] = 1.0
    for name, hears in (("depot", ["depot"]), ("east", ["depot", "east"]), ("west", ["depot", "west"])):
        node = names.index(name)
        weight[0] = 0.0
        weight[0, node * 6 : node * 6 + 6] = 1.0
        inputs = torch.randn(64, shapes.inputs, generator=torch.Generator().manual_seed(2))
        before = shapes.forward(layers, inputs, "tanh")[:, 0]
        moves = []
        for row in range(shapes.inputs):
            other = inputs.clone()
            other[:, row] += 1.0
            moves.append(not torch.equal(shapes.forward(layers, other, "tanh")[:, 0], before))
        assert [names[row] for row, moved in enumerate(moves) if moved] == sorted(hears, key=names.index)


def test_attention_in_a_department_of_one_stock_point_is_refused():
    world, observer = world_of(pair(), "benchmark")
    assert isinstance(observer, Observer)
    with pytest.raises(ValueError, match=r"policy\.graph"):
        DepartmentSpec.of(world, observer, world.firm.names[0], PolicyConfig(graph=GraphConfig()))
    assert FIRM not in world.firm.names


def test_heads_must_divide_the_units():
    with pytest.raises(ValueError, match="multiples of heads"):
        GraphConfig(layers=(16, 6), heads=4)
