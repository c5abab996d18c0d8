"""How observations are scaled."""

import pytest
import torch

from environment import World
from environment.observation import Observer
from tests.small_firms import tree, world_of
from tests.small_markets import market


def seen_under_base_stock(observer, world, seed, periods=80, copies=512):
    """All features [T, G, E] while every point orders up to its level, after a warm-up."""
    level = observer.level.view(world.points, world.products, 1)
    chance, state, seen = world.draw(periods, copies, world.generator(seed)), world.reset(copies), []
    for t in range(periods):
        state, _ = world.step(
            state, world.feasible(level - state.inventory_position, state.inventory_position, 0), chance.at(t)
        )
        seen.append(observer.all_features(state))
    return torch.stack(seen[20:])


def test_standard_features_have_mean_0_and_deviation_1_on_other_episodes_too():
    world, observer = world_of(tree(products=("red", "blue")), "standard")
    seen = seen_under_base_stock(observer, world, seed=9)
    assert seen.mean((0, 2)).abs().max() < 0.06
    spread = seen.std((0, 2))
    assert (spread < 1.06).all()
    positions = spread[: observer.positions]
    assert (positions > 0.94).all()


def test_standard_differs_from_the_benchmarks_by_an_affine_map_of_each_feature():
    world, plain = world_of(tree(), "benchmark")
    _, other = world_of(tree(), "standard")
    other.cut = 0
    a, b = seen_under_base_stock(plain, world, 3, 30, 64), seen_under_base_stock(other, world, 3, 30, 64)
    a, b = a.transpose(0, 1).flatten(1).double(), b.transpose(0, 1).flatten(1).double()
    moving = a.std(1) > 0
    slope = b.std(1)[moving] / a.std(1)[moving]
    torch.testing.assert_close(
        b[moving] - b[moving].mean(1, keepdim=True),
        slope[:, None] * (a[moving] - a[moving].mean(1, keepdim=True)),
        atol=1e-4,
        rtol=1e-4,
    )


def test_standard_positions_are_cut_off_at_four_deviations_and_nothing_else_is():
    world, observer = world_of(tree(), "standard")
    state = world.reset(3)
    _, free = world_of(tree(), "standard")
    free.cut = 0
    far = torch.tensor([-1000.0, 0.0, 1000.0]).expand_as(state.inventory_position)
    state = state._replace(inventory_position=state.inventory_position + far, owed=state.owed + 1000.0)
    seen, whole = observer.all_features(state), free.all_features(state)
    torch.testing.assert_close(seen[:3], whole[:3].clamp(-4.0, 4.0), atol=0.0, rtol=0.0)
    assert seen[:3, 0].tolist() == [-4.0] * 3
    assert seen[:3, 2].tolist() == [4.0] * 3
    assert torch.equal(seen[3:], whole[3:])
    assert whole[observer.lines].min() > 4.0
    torch.testing.assert_close(observer.features(state), seen[:3])


def test_what_never_moves_is_not_blown_up():
    world, observer = world_of(tree(), "standard")
    quiet = observer.all_features(world.reset(4))
    assert torch.isfinite(quiet).all()
    assert quiet.abs().max() < 100


def test_standard_scaling_is_refused_where_the_departments_steer_demand():
    firm = market()
    world = World(firm, torch.zeros(len(firm.names), len(firm.products)).numpy())
    with pytest.raises(ValueError, match="firms without customers"):
        Observer(world, torch.zeros(len(firm.names), len(firm.products)).numpy(), "standard")


def test_bounds_map_positions_to_plus_and_minus_1_and_cut_off_what_lies_outside():
    world, observer = world_of(tree(), "bounds")
    state, level = world.reset(5), observer.level.view(3, 1, 1)
    most = torch.tensor([40.0, 20.0, 20.0]).view(3, 1, 1)
    low, high = -2 * most, level + most
    position = torch.cat((low - 1000, low, (low + high) / 2, high, high + 1000), -1)
    seen = observer.all_features(state._replace(inventory_position=position, on_hand=position, owed=state.owed + 1e6))
    torch.testing.assert_close(seen[:3], torch.tensor([-1.0, -1.0, 0.0, 1.0, 1.0]).expand(3, -1))
    torch.testing.assert_close(observer.features(state._replace(inventory_position=position)), seen[:3])
    assert seen.abs().max() == 1.0


def test_whoever_is_supplied_on_an_edge_sees_whether_it_is_shut():
    world, observer = world_of(tree(products=("red", "blue"), disruption={"start": 0.3, "end": 0.3}), "benchmark")
    state, chance, labels = world.reset(64), world.draw(5, 64, world.generator(1)), observer.labels()
    for t in range(5):
        state, _ = world.step(state, torch.zeros_like(state.on_hand), chance.at(t))
    shut = {label: row for row, label in enumerate(labels) if label.startswith("shut/")}
    edges = [f"{source}>{target}" for source, target in world.network.edge_names]
    for edge, flags in zip(("depot>west", "outside>depot"), state.aside, strict=False):
        assert edge in edges
        assert 0 < flags[0].sum() < 64
        for product in ("red", "blue"):
            assert torch.equal(observer.all_features(state)[shut[f"shut/{edge}/{product}"]], flags[0])
    seen = {
        name: {labels[row] for row in observer.rows("own", n)} & set(shut) for n, name in enumerate(world.firm.names)
    }
    assert seen["east"] == set()
    assert seen["west"] == {"shut/depot>west/red", "shut/depot>west/blue"}
    assert seen["depot"] == {"shut/outside>depot/red", "shut/outside>depot/blue"}
    owned = [row for point in range(3) for row in observer.node_rows(point)]
    assert sorted(owned) == list(range(observer.size))


def test_every_feature_of_the_state_belongs_to_one_stock_point():
    _, observer = world_of(tree(products=("red", "blue")), "benchmark")
    owned = [row for point in range(3) for row in observer.node_rows(point)]
    assert sorted(owned) == list(range(observer.size))
    assert len(observer.node_rows(0)) == len(observer.node_rows(1)) + 2, "the depot owes both stores"
