import pytest

from coordinator.live.policy_bundles import PolicyBundles
from coordinator.storage.files import read_sealed, write_sealed
from environment import load_firm
from tests.live_faults import STAYS, a_run, malformed, run_faults


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("nan", "finite"),
        ("shape", "parameters, got"),
        ("truncated", "damaged"),
        ("pickle", "damaged"),
    ],
)
def test_a_policy_file_that_is_none_is_refused_in_one_line(kind, reason, tmp_path):
    run = a_run(tmp_path / "run", "a1")
    with pytest.raises(ValueError, match=reason) as refused:
        PolicyBundles(load_firm("a1")).policy("retailer-2", malformed(run, "retailer-2", kind))
    assert "\n" not in str(refused.value)


def test_a_pickle_whose_json_fits_it_is_still_no_policy(tmp_path):
    import hashlib

    run = a_run(tmp_path / "run", "a1")
    place = run.path / "policies" / "retailer-2" / "1.safetensors"
    place.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    sealed = place.with_suffix(".json")
    write_sealed(sealed, read_sealed(sealed) | {"sha256": hashlib.sha256(place.read_bytes()).hexdigest()})
    with pytest.raises(ValueError, match="is not a policy"):
        PolicyBundles(load_firm("a1")).policy("retailer-2", f"{run.path}@1")


def test_a_policy_of_another_firm_is_refused(tmp_path):
    run = a_run(tmp_path / "run", "a3")
    with pytest.raises(ValueError, match="built otherwise"):
        PolicyBundles(load_firm("a1")).policy("retailer-2", str(run.path))


@pytest.mark.thorough
@pytest.mark.ray
@pytest.mark.slow
def test_under_faults_no_tick_is_lost_or_doubled_and_the_book_is_true(tmp_path):
    found = run_faults("a1", 250, 14, 3, tmp_path)
    assert found["wrong"] == []
    assert found["ticks"] >= 250
    assert found["decisions"] == 4 * found["ticks"]
    thrown = found["thrown"]
    assert found["restarts"] == found["kills"] >= 3
    assert found["kills_not_in_the_book"] == found["restarts_of_nobody_killed"] == {}
    assert thrown.get("malformed done", 0) == 0
    assert thrown.get("swap done", 0) == found["audited"].get("swap", 0)
    assert thrown.get("override done", 0) == found["audited"].get("override", 0)
    assert found["restarts"] == found["restarts_audited"]
    assert found["fallbacks"] == found["fallbacks_audited"]
    assert not found["unpickled"]
    assert found["left_running"] == 0
    assert found["left_in_tmp"] == []
    assert set(found["left_in_the_folder"]) <= STAYS
