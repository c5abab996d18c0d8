import json
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from coordinator.storage.files import read_sealed, write_sealed
from coordinator.storage.policies import load_checkpoint, load_policy, save_checkpoint, save_policy, write_atomically
from departments.policies.policy import PolicyConfig, Snapshot


def _snapshot(version=3):
    parameters = np.random.default_rng(version).standard_normal(40).astype(np.float32)
    return Snapshot("shop", version, PolicyConfig(form="plain", hidden=(4, 3), initial_std=0.2), parameters)


def test_a_policy_comes_back_as_it_was_kept(tmp_path):
    kept = _snapshot()
    place = save_policy(tmp_path, kept, {"run": "one", "gain": 2.5})
    back = load_policy(tmp_path, "shop", 3)
    assert (back.department, back.version, back.config) == ("shop", 3, kept.config)
    assert back.parameters.tobytes() == kept.parameters.tobytes()
    assert place == tmp_path / "shop" / "3.safetensors"
    assert json.loads(place.with_suffix(".json").read_text())["provenance"] == {"run": "one", "gain": 2.5}


def test_versions_stand_side_by_side(tmp_path):
    for version in (1, 2):
        save_policy(tmp_path, _snapshot(version), {})
    for version in (1, 2):
        np.testing.assert_array_equal(load_policy(tmp_path, "shop", version).parameters, _snapshot(version).parameters)


class _Trap:
    def __reduce__(self):
        return (Path.touch, (Path("trap-was-sprung"),))


def _signed(place, content):
    """Damage that knows about the checksum."""
    import hashlib

    place.write_bytes(content)
    file = place.with_suffix(".json")
    write_sealed(file, read_sealed(file) | {"sha256": hashlib.sha256(content).hexdigest()})


def _flip(place):
    content = bytearray(place.read_bytes())
    content[-7] ^= 0x10
    place.write_bytes(content)


def _edit(**changes):
    def damage(place):
        file = place.with_suffix(".json")
        write_sealed(file, read_sealed(file) | changes)

    return damage


NOT_FINITE = np.array([1, np.nan, 2], dtype=np.float32)
DAMAGES = {
    "truncated": (lambda place: place.write_bytes(place.read_bytes()[:-10]), "damaged"),
    "one bit flipped": (_flip, "damaged"),
    "empty": (lambda place: place.write_bytes(b""), "damaged"),
    "gone": (lambda place: place.unlink(), "cannot be read"),
    "json gone": (lambda place: place.with_suffix(".json").unlink(), "cannot be read"),
    "json truncated": (lambda place: place.with_suffix(".json").write_text('{"department": "sh'), "cannot be read"),
    "json is a list": (lambda place: place.with_suffix(".json").write_text("[]"), "its json must be an object"),
    "json is binary": (lambda place: place.with_suffix(".json").write_bytes(b"\xff\xfe\x00"), "cannot be read"),
    "a pickle renamed": (lambda place: place.write_bytes(pickle.dumps(_Trap())), "damaged"),
    "a pickle renamed and signed": (lambda place: _signed(place, pickle.dumps(_Trap())), "is not a policy"),
    "not finite": (lambda place: _signed(place, save({"parameters": NOT_FINITE})), "finite"),
    "another dtype": (lambda place: _signed(place, save({"parameters": np.zeros(9)})), "32-bit"),
    "another shape": (lambda place: _signed(place, save({"parameters": np.zeros((3, 3), "f4")})), "one vector"),
    "another tensor": (lambda place: _signed(place, save({"weights": np.zeros(3, "f4")})), "is not a policy"),
    "another department": (_edit(department="depot"), "not what its json says"),
    "another version": (_edit(version=4), "not what its json says"),
    "an unknown setting": (_edit(policy={"colour": "red"}), "is not a policy"),
    "no settings": (_edit(policy=None), "is not a policy"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_policy_is_refused_in_one_line_that_names_the_file(damage, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    damage(save_policy(tmp_path, _snapshot(), {}))
    with pytest.raises(ValueError, match=reason) as refused:
        load_policy(tmp_path, "shop", 3)
    assert "\n" not in str(refused.value)
    assert "shop/3.safetensors" in str(refused.value)
    assert not Path("trap-was-sprung").exists()


def _checkpoint():
    rng = np.random.default_rng(0)
    arrays = {"a/b": rng.standard_normal(5).astype(np.float32), "c": np.zeros((0, 2), "f4"), "d": np.arange(4.0)}
    return arrays, {"scheme": {"jobs": ["shop"], "best_cost": 0.1 + 0.2}, "nothing": None}


def test_a_checkpoint_comes_back_as_it_was_kept(tmp_path):
    arrays, record = _checkpoint()
    save_checkpoint(tmp_path / "c.safetensors", arrays, record)
    back, plain = load_checkpoint(tmp_path / "c.safetensors")
    assert plain == record
    assert set(back) == set(arrays)
    for name, value in arrays.items():
        assert back[name].dtype == value.dtype
        np.testing.assert_array_equal(back[name], value)


def test_no_truncation_and_no_flipped_bit_of_a_checkpoint_goes_unnoticed(tmp_path):
    place = tmp_path / "c.safetensors"
    save_checkpoint(place, *_checkpoint())
    content, rng = place.read_bytes(), np.random.default_rng(1)
    damaged = [content[:length] for length in range(0, len(content), 5)]
    for byte in range(len(content)):
        flipped = bytearray(content)
        flipped[byte] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(flipped))
    unnoticed = 0
    for piece in damaged:
        place.write_bytes(piece)
        refusal = ""
        try:
            arrays, record = load_checkpoint(place)
        except ValueError as refused:
            refusal = str(refused)
        if refusal:
            assert "is not a checkpoint to resume from" in refusal
            assert "\n" not in refusal
        else:  # only what carries no meaning (padding, the order of keys) may differ
            expected, plain = _checkpoint()
            assert record == plain
            assert all(np.array_equal(arrays[name], value) for name, value in expected.items())
            unnoticed += 1
    assert unnoticed < 10


def test_a_missing_checkpoint_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.safetensors is not a checkpoint"):
        load_checkpoint(tmp_path / "nothing.safetensors")


def test_a_crash_between_writing_and_renaming_leaves_the_old_content(tmp_path, monkeypatch):
    place = tmp_path / "file"
    write_atomically(place, "old")

    def crash(self, target):
        assert self.read_text() == "new and longer", "by then the new content is on the disk"
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(place, "new and longer")
    assert place.read_text() == "old"
    monkeypatch.undo()
    write_atomically(place, "newest")
    assert place.read_text() == "newest"


def test_a_reader_sees_the_old_file_or_the_new_one_and_never_a_part(tmp_path):
    place, contents = tmp_path / "file", [b"a" * 300_000, b"b" * 200_000]
    write_atomically(place, contents[0])
    stop, torn, reads = threading.Event(), [], []

    def read():
        while not stop.is_set():
            seen = place.read_bytes()
            reads.append(len(seen))
            if seen not in contents:
                torn.append(len(seen))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for i in range(60):
            write_atomically(place, contents[i % 2])
    finally:
        stop.set()
        reader.join()
    assert not torn
    assert set(reads) <= {200_000, 300_000}
    assert list(tmp_path.iterdir()) == [place], "nothing is left beside it"


def test_no_bit_of_a_policy_s_json_may_change_unseen(tmp_path):
    save_policy(tmp_path, _snapshot(), {"gain": 2.5})
    file = tmp_path / "shop" / "3.json"
    kept, wrong = file.read_bytes(), []
    for place in range(len(kept)):
        file.write_bytes(kept[:place] + bytes([kept[place] ^ 1]) + kept[place + 1 :])
        try:
            back = load_policy(tmp_path, "shop", 3)
        except ValueError:
            continue
        wrong += [place] if back.config != _snapshot().config else []
    assert wrong == []


def test_a_policy_kept_before_jsons_had_a_seal_is_still_read(tmp_path):
    save_policy(tmp_path, _snapshot(), {})
    file = tmp_path / "shop" / "3.json"
    file.write_text(json.dumps(read_sealed(file)))
    assert load_policy(tmp_path, "shop", 3).config == _snapshot().config


def test_writers_of_one_file_at_a_time_leave_one_whole_file(tmp_path):
    texts = [str(number) * 200_000 for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda text: [write_atomically(tmp_path / "file", text) for _ in range(4)], texts))
    assert (tmp_path / "file").read_text() in texts
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(tmp_path / "file", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
