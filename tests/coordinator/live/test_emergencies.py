"""A firm in operation whose shops are helped at once from what the warehouse has left."""

import pytest

from coordinator.live.replay import replay
from tests.coordinator.live.test_feed import fed
from tests.coordinator.live.test_operation import begun

RULE = "base-stock:warehouse=40,retailer-1=5,retailer-2=5,retailer-3=5"


def test_shops_lose_less_with_it_and_the_book_can_be_replayed(tmp_path):
    short = {}
    for name in ("one-warehouse-7", "one-warehouse-11"):  # the same firm without and with it
        operation = begun(tmp_path / name, name, RULE)
        ticks = [operation.tick()["departments"] for _ in range(30)]
        short[name] = sum(tick[f"retailer-{i}"]["cost"] for tick in ticks for i in (1, 2, 3))
        assert replay(tmp_path / name)["faults"] == []
    assert short["one-warehouse-11"] < 0.8 * short["one-warehouse-7"]


def test_a_feed_does_not_tell_of_it(tmp_path):
    with pytest.raises(ValueError, match="a feed tells no emergency shipments: no emergency"):
        fed(tmp_path / "f", tmp_path / "feed", "one-warehouse-11")
