import pytest

from coordinator.office import weigh as weighing
from coordinator.office.uploads import keep_upload
from coordinator.office.weigh import weigh
from coordinator.runs.folder import RunFolder
from tests.coordinator.office.test_uploads import GOOD, packed
from tests.small_firms import fresh, pair, world_of
from tests.small_runs import settings


@pytest.fixture
def kept(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.create(pair(), settings())
    for snapshot in fresh(*world_of(pair()), settings().policy):
        run.save_snapshot(snapshot, {})
    return run.path


def test_a_run_of_a_bearable_firm_is_let_through(kept):
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    assert weigh(kept) is None
    assert {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()} == before


def test_a_run_with_heavy_laws_is_given_up_and_its_process_ended(kept, monkeypatch):
    monkeypatch.setattr(weighing, "LONGEST", 6)
    firm = (kept / "firm.yaml").read_text()
    heavy = "{law: poisson_uniform, low: 0, high: 10000}"
    points = "".join(f"  p{i}: {{holding_cost: 1, max_order: 9, demand: {heavy}}}\n" for i in range(200))
    (kept / "firm.yaml").write_text(firm.partition("stock_points")[0] + "stock_points:\n" + points)
    with pytest.raises(ValueError, match="laws or network are too heavy"):
        weigh(kept)


def test_an_upload_that_is_too_heavy_leaves_nothing(tmp_path):
    def refuse(folder):
        assert (folder / "firm.yaml").is_file()
        raise ValueError("too heavy")

    with pytest.raises(ValueError, match="too heavy"):
        keep_upload(tmp_path, "a", packed(GOOD), refuse)
    assert list((tmp_path / "uploads").iterdir()) == []
