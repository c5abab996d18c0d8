import io
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.office.uploads import MOST_KEPT, keep_upload, where_uploaded

GOOD = {
    "firm.yaml": "name: a\nstock_points: {}\n",
    "settings.json": "{}",
    "current.json": '{"shop": 3}',
    "policies/shop/3.json": "{}",
    "policies/shop/3.safetensors": "bytes",
}


def packed(files, **zip_options):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", **zip_options) as file:
        for name, text in files.items():
            file.writestr(name, text)
    return content.getvalue()


def test_a_run_is_kept_once_without_what_is_not_needed(tmp_path):
    content = packed({f"runs/a/{name}": text for name, text in (GOOD | {"metrics.csv": "x"}).items()})
    kept = keep_upload(tmp_path, "a", content)
    assert keep_upload(tmp_path, "a", content) == kept
    place = tmp_path / kept
    assert sorted(str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()) == sorted(GOOD)
    assert [path.name for path in (tmp_path / "uploads").iterdir()] == [place.name]
    assert where_uploaded(tmp_path, f"{kept}@3") == f"{place.resolve()}@3"
    assert where_uploaded(tmp_path, "reorder") == "reorder"


LINK = zipfile.ZipInfo("policies/shop/3.safetensors")
LINK.external_attr = (stat.S_IFLNK | 0o777) << 16
NESTED = "[" * 100_000


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"settings.json": "{}"}, "it has no firm.yaml"),
        ({"firm.yaml": "name: a"}, "it has no settings.json"),
        ({"firm.yaml": "name: a", "settings.json": "{}"}, "holds no policy"),
        (GOOD | {"../outside.json": "{}"}, "no file of a run folder"),
        (GOOD | {"/etc/passwd": "x"}, "no file of a run folder"),
        (GOOD | {"policies/../../x/3.json": "{}"}, "no file of a run folder"),
        (GOOD | {"policies\\shop\\4.json": "{}"}, "no file of a run folder"),
        (GOOD | {"policies/shop/4.pt": "x"}, "no file of a run folder"),
        (GOOD | {"policies/shop/4.json": "{}"}, "needs policies/shop/4.safetensors beside it"),
        (GOOD | {"current.json": '{"shop": "../../x"}'}, "must give a version"),
        (GOOD | {"current.json": "[]"}, "must hold an object"),
        (GOOD | {"settings.json": "{"}, "settings.json is not json"),
        (GOOD | {"settings.json": NESTED}, "settings.json is not json"),
        (GOOD | {"settings.json": '"' + "x" * 300_000 + '"'}, "may hold at most"),
        (GOOD | {"firm.yaml": "a: &a [1]\nb: [*a, *a]"}, "without anchors"),
        (GOOD | {"firm.yaml": "a: {law: history, file: /etc/passwd, column: x}"}, "may name no other file"),
        (GOOD | {"firm.yaml": "[" * 200_000}, "nested at most 20 deep"),
        (GOOD | {"firm.yaml": "a: [b"}, "is not YAML"),
        (GOOD | {"firm.yaml": "a: !!python/object:os.system x"}, "without anchors, aliases and tags"),
    ],
)
def test_what_is_no_run_is_refused_in_one_line_and_leaves_nothing(files, reason, tmp_path):
    with pytest.raises(ValueError, match=reason) as error:
        keep_upload(tmp_path, "a", packed(files))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def zip_with(entry, content):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in GOOD.items():
            if name != getattr(entry, "filename", entry):
                file.writestr(name, text)
        file.writestr(entry, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a zip"),
        (b"PK\x03\x04" + b"\0" * 100, "not a zip"),
        (packed(GOOD)[:-30], "not a zip"),
        (packed(GOOD).replace(b"bytes", b"bytez", 1), "Bad CRC-32"),
        (packed(GOOD, compression=zipfile.ZIP_BZIP2), "must be stored or deflated"),
        (zip_with(LINK, "/etc/passwd"), "must be a plain file"),
        (zip_with("policies/shop/3.safetensors", b"\0" * (65 * 2**20)), "may unpack to at most"),
        (packed(GOOD | {f"{n}.csv": "" for n in "abc"} | {f"d{n}/": "" for n in range(4001)}), None),
        (packed(GOOD | {"x" * n + ".csv": "" for n in range(1, 4001)}), "may hold at most 4000 files"),
    ],
)
def test_a_zip_that_is_none_or_a_trap_is_refused_in_one_line(content, reason, tmp_path):
    if reason is None:
        keep_upload(tmp_path, "a", content)
        return
    with pytest.raises(ValueError, match=reason) as error:
        keep_upload(tmp_path, "a", content)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["", "..", "A", "a/b", "a" * 50])
def test_a_name_that_is_none_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="name must be"):
        keep_upload(tmp_path, name, packed(GOOD))


def test_no_more_than_so_many_are_kept(tmp_path):
    for number in range(MOST_KEPT):
        (tmp_path / "uploads" / str(number)).mkdir(parents=True)
    with pytest.raises(ValueError, match="remove some"):
        keep_upload(tmp_path, "a", packed(GOOD))


@pytest.mark.parametrize("policy", ["uploads/", "uploads/../x", "uploads/a-00000000", "uploads/a@3"])
def test_an_upload_that_is_not_there_is_refused(policy, tmp_path: Path):
    with pytest.raises(ValueError, match="was not uploaded"):
        where_uploaded(tmp_path, policy)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    compressed=st.booleans(),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=4)), min_size=1, max_size=5),
)
def test_a_damaged_zip_is_kept_or_refused_in_one_line_and_nothing_else(compressed, changes, tmp_path):
    content = bytearray(packed(GOOD, compression=zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED))
    for place, written in changes:
        at = place % len(content)
        content[at : at + len(written)] = written
    try:
        keep_upload(tmp_path, "a", bytes(content))
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and path.parts[len(tmp_path.parts)] != "uploads"]
    assert outside == []


def test_a_department_may_have_any_name_that_a_firm_file_may_give(tmp_path):
    kept = keep_upload(tmp_path, "a", packed({name.replace("shop", "s" * 100): text for name, text in GOOD.items()}))
    assert any((tmp_path / kept / "policies").glob("s" * 100 + "/*")), list(tmp_path.rglob("*"))
