import pytest

from environment import Network, built_in_firms, load_firm
from environment.grid import GRID, LEVELS, STRUCTURES

EDGES = {  # internal edges, by the paper's figures; C, D and S as the module says
    "s": [("center", "warehouse"), ("warehouse", "depot"), ("depot", "retailer")],
    "a": [("warehouse", f"retailer-{r}") for r in (1, 2, 3)],
    "b": [
        (f"warehouse-{w}", f"retailer-{r}")
        for w, served in ((1, (1, 2, 3)), (2, (1, 2, 3, 4)), (3, (4, 5)), (4, (1, 2, 3, 4, 5)))
        for r in served
    ],
    "c": [("center", f"warehouse-{w}") for w in (1, 2, 3)]
    + [(f"warehouse-{w}", f"retailer-{r}") for w in (1, 2, 3) for r in range(3 * w - 2, 3 * w + 1)],
    "d": [(f"center-{j % 4 + 1}", f"warehouse-{w + 1}") for w in range(5) for j in (w, w + 1)]
    + [(f"warehouse-{j % 5 + 1}", f"retailer-{r + 1}") for r in range(9) for j in (r, r + 1)],
}
SIZES = {
    "s": [4, 3, 2, 1],
    "a": [2, 1, 1, 1],
    "b": [2] * 4 + [1] * 5,
    "c": [3] + [2] * 3 + [1] * 9,
    "d": [3] * 4 + [2] * 5 + [1] * 9,
}
COSTS = {1: (1.0, 19.0, 50), 2: (0.6, 0.0, 150), 3: (0.4, 0.0, 500), 4: (0.2, 0.0, 500)}


def test_there_are_thirty_cells():
    assert tuple(f"{structure}{level}" for structure in "sabcd" for level in range(1, 7)) == GRID
    assert set(GRID) <= set(built_in_firms())
    assert len(STRUCTURES) * len(LEVELS) == len(GRID) == 30


@pytest.mark.parametrize("name", GRID)
def test_a_cell_has_the_structure_and_the_table_of_the_paper(name):
    firm = load_firm(name)
    network = Network.of(firm)
    inside = sorted(edge for edge in network.edge_names if edge[0] != "outside")
    assert inside == sorted(EDGES[name[0]])
    top = {point for point in firm.names if not any(target == point for _, target in inside)}
    assert {target for source, target in network.edge_names if source == "outside"} == top
    assert network.echelons() == SIZES[name[0]]
    for point, echelon in zip(firm.stock_points.values(), network.echelons(), strict=True):
        assert (point.holding_cost, point.backorder_cost, point.max_order) == COSTS[echelon]
        assert (point.demand is not None) == (echelon == 1)
    assert firm.unmet == "backorder"
    assert firm.periods.model_dump() == {"train": 128, "evaluate": 75, "warm_up": 25}


@pytest.mark.parametrize("name", GRID)
def test_a_cell_has_the_chance_of_its_level(name):
    firm, level = load_firm(name), int(name[1])
    network = Network.of(firm)
    demands = {law.law for laws in network.demand_laws for law in laws}
    assert demands == {"poisson_uniform" if level in (1, 3, 5) else "negative_binomial"}
    lead_times = [law for laws in network.lead_time_laws for law in laws]
    assert {law.law for law in lead_times} == {{3: "uniform", 4: "gamma", 6: "gamma"}.get(level, "fixed")}
    assert {len(law.mass()) - 1 for law in lead_times} == {{3: 5, 4: 15, 6: 15}.get(level, 1)}
    assert firm.cost_spread == (0.5 if level > 4 else 0)
    assert network.mean_flow()[network.customer_facing, 0] == pytest.approx(10)
