import hashlib
import io
import json
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import ignored_auth

from coordinator.cli import run
from coordinator.storage.files import read_sealed, write_sealed
from tests.live_faults import a_run, malformed

pytestmark = pytest.mark.ray
BY_ITSELF = ("fallback", "restart", "start", "failure", "wait")  # events that nobody asked for
POSTS = [
    "/api/departments/retailer-1/swap",
    "/api/departments/retailer-1/rollback",
    "/api/departments/retailer-1/override",
    "/api/departments/retailer-1/pause",
    "/api/departments/retailer-1/resume",
    "/api/commands/some-id/cancel",
    "/api/approve",
    "/api/stop",
    "/api/token",
    "/api/policies",
    "/api/observations",
]


def asked_for(firm):
    """What stands in the book because somebody asked for it, and what departments follow."""
    events = [event for event in firm.events() if event["kind"] not in BY_ITSELF]
    return events, firm._book.now()[2]["posts"], sorted((firm.folder / "uploads").glob("*"))


def zipped(folder, top=""):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, top + str(path.relative_to(folder)))
    return packed.getvalue()


def refused(answer, status, reason):
    assert answer.status_code == status, answer.text
    line = answer.json()["error"]
    assert reason in line
    assert "\n" not in line


def operations(office):
    schema = schemathesis.openapi.from_url(f"{office.url}/api/openapi.json")
    return [found.ok() for found in schema.get_all_operations()]


@pytest.mark.parametrize(("which", "times"), [("office", 6), ("fed_office", 3)])
def test_whatever_is_asked_the_answer_is_as_documented_and_never_a_failure_inside(which, times, request):
    office = request.getfixturevalue(which)
    found = operations(office)
    assert len(found) == 33
    assert {op.path for op in found if op.method == "head"} == {op.path for op in found if op.method == "get"}
    for operation in found:
        if operation.path in ("/api/stop", "/api/policies"):  # the latter takes a zip: test_uploads.py
            continue

        @settings(max_examples=times, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy())
        def ask(case):
            case.call_and_validate(headers=office.asking, excluded_checks=[ignored_auth])  # below

        ask()


def test_head_answers_what_get_would_without_a_body(office):
    for path in ("/", "/api/network", "/api/departments/retailer-1", "/api/departments/nobody", "/page/office.css"):
        head, get = office.looking.head(path), office.looking.get(path)
        assert (head.status_code, head.headers["content-type"]) == (get.status_code, get.headers["content-type"])
        assert head.headers["x-frame-options"] == "DENY"
        assert head.content == b""


def test_deliveries_at_once_leave_one_of_them_whole(fed_office):
    folder, period = fed_office.firm.folder.parent / "feed" / "in", 7
    texts = [f"{number}\n" * 40_000 for number in range(24)]

    def deliver(text):
        body = {"period": period, "observations": text}
        return httpx.post(f"{fed_office.url}/api/observations", json=body, headers=fed_office.asking, timeout=60)

    with ThreadPoolExecutor(len(texts)) as clients:
        answers = list(clients.map(deliver, texts))
    assert {answer.status_code for answer in answers} <= {200, 503}  # as many as the office hears at once
    told = [text for text, answer in zip(texts, answers, strict=True) if answer.status_code == 200]
    assert (folder / f"period-{period}.csv").read_text() in told
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_without_the_token_nothing_changes(office):
    documented = {op.full_path for op in operations(office) if op.method.upper() == "POST"}
    assert len(documented) == len(POSTS)
    before = asked_for(office.firm)
    wrong = [{}, {"authorization": f"Bearer {office.token}x"}, {"authorization": f"Basic {office.token}"}]
    for path in POSTS:
        for headers in wrong:
            refused(office.looking.post(path, headers=headers, json={}), 401, "show the office's token")
    assert asked_for(office.firm) == before
    assert office.client.post("/api/token").json() == {"token": "right"}


def test_the_token_is_its_owners_alone_and_told_once(office):
    kept = office.firm.folder / "office.token"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert sum(office.token in line for line in office.said) == 1
    for path in ("/", "/api/metrics", "/api/events", "/api/openapi.json"):
        assert office.token not in office.looking.get(path).text


def test_other_names_for_this_machine_are_not_answered_and_every_answer_is_guarded(office):
    refused(office.looking.get("/api/status", headers={"host": "evil.example"}), 421, "answers to 127.0.0.1")
    for answer in (office.looking.get("/"), office.looking.get("/nothing"), office.looking.post("/api/stop")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    large = office.client.post("/api/observations", content=b"x" * (5 * 2**20))
    refused(large, 413, "may hold at most")


def test_figures_are_those_of_the_firm(office):
    network = office.looking.get("/api/network").json()
    assert network["edges"][1] == {"from": "warehouse", "to": "retailer-1", "lead_time": 1}
    assert network["max_order"]["retailer-1"] == {"unit": 50}
    (first,) = office.looking.get("/api/ticks", params={"since": 0, "limit": 1}).json()
    assert first == office.firm.ticks(0, 1)[0]
    rows = office.looking.get("/api/history", params={"department": "retailer-1", "limit": 1}).json()
    assert rows == office.firm.history("retailer-1", 0, 1)
    assert office.looking.get("/api/metrics").json()["tick_seconds"]["buckets"][-1][0] is None
    refused(office.looking.get("/api/departments/nobody"), 404, "DEPARTMENT must be one of warehouse")
    refused(office.looking.get("/api/ticks", params={"since": -1}), 422, "since")


def test_a_command_is_carried_out_once_and_a_refused_one_says_why(office):
    path = "/api/departments/retailer-3"
    given = {"order": {"unit": 4}, "periods": 2, "why": "a strike", "who": "me", "command": "strike-1"}
    first, again = (office.client.post(f"{path}/override", json=given).json() for _ in range(2))
    assert first == again
    assert first["state"] == "done"
    mine = [event for event in office.firm.events() if event["command"] == "strike-1"]
    assert [(e["kind"], e["who"], e["why"]) for e in mine] == [("override", "me", "a strike")]
    refused(
        office.client.post(f"{path}/override", json=given | {"command": "strike-2", "order": {"unit": 51}}),
        409,
        "must be a whole number from 0 to 50",
    )
    refused(office.client.post(f"{path}/override", json={"exposure": {"retailer-3/all/unit": 1.0}}), 409, "order")
    refused(office.client.post(f"{path}/override", json=given | {"exposure": {}}), 422, "exposure")
    for policy in ("no-such", "a" * 256, "a" * 500, "runs/" + "a" * 300):
        answer = office.client.post(f"{path}/swap", json={"policy": policy})
        refused(answer, 409, "--policy" if "/" in policy else "policy must be")
        assert answer.headers["x-content-type-options"] == "nosniff"
    refused(office.client.post(f"{path}/swap", json={"policy": "uploads/../x"}), 409, "was not uploaded")
    refused(office.client.post(f"{path}/pause", json={"while": 3}), 422, "while")
    refused(office.client.post("/api/observations", json={"period": 0, "observations": ""}), 409, "is simulated")


def test_an_uploaded_policy_is_let_in_with_where_it_came_from_and_how_fast_it_learned(office, tmp_path):
    trained = a_run(tmp_path / "run", "a1")
    (trained.path / "metrics.csv").write_text("left out")
    content = zipped(trained.path, "any/folder/")
    kept, same = (
        office.client.post("/api/policies", params={"name": "spring"}, content=content).json() for _ in range(2)
    )
    assert kept == same
    name = kept["policy"]
    assert name == f"uploads/spring-{hashlib.sha256(content).hexdigest()[:8]}"
    assert not (office.firm.folder / name / "metrics.csv").exists()
    answer = office.client.post("/api/departments/retailer-2/swap", json={"policy": f"{name}@1", "canary": 3})
    assert answer.status_code in (200, 202, 409), answer.text  # the canary itself may find it worse
    answer = office.client.post("/api/departments/retailer-2/swap", json={"policy": f"{name}@1"}).json()
    assert answer["state"] == "done"
    last = office.looking.get("/api/departments/retailer-2/policies").json()[-1]
    assert last["policy"] == f"{name.removeprefix('uploads/')}@1"
    assert last["timescale"] == f"learning rate {trained.settings().ppo.learning_rate:g}"
    assert last["figures"]["periods"] == 40
    assert office.client.post("/api/departments/retailer-2/rollback", json={}).json()["state"] == "done"


@pytest.fixture(scope="module")
def damaged(office, tmp_path_factory):
    """What an uploaded run with a policy of every kind that must be refused is called, and the number of each."""
    trained = a_run(tmp_path_factory.mktemp("damaged") / "run", "a1")
    kinds = ("nan", "shape", "truncated", "pickle")
    numbers = {kind: malformed(trained, "retailer-1", kind).rpartition("@")[2] for kind in kinds}
    place = trained.path / "policies" / "retailer-1" / f"{numbers['pickle']}.safetensors"
    sealed = place.with_suffix(".json")  # is made to fit the pickle, which was renamed
    write_sealed(sealed, read_sealed(sealed) | {"sha256": hashlib.sha256(place.read_bytes()).hexdigest()})
    return office.client.post("/api/policies", content=zipped(trained.path)).json()["policy"], numbers


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("nan", "finite"), ("shape", "parameters, got"), ("truncated", "damaged"), ("pickle", "is not a policy")],
)
def test_a_policy_that_is_none_is_refused_in_one_line_and_leaves_the_old_one(kind, reason, office, damaged):
    name, numbers = damaged
    before = office.firm.metrics()["departments"]["retailer-1"]["version"]
    answer = office.client.post("/api/departments/retailer-1/swap", json={"policy": f"{name}@{numbers[kind]}"})
    refused(answer, 409, reason)
    assert office.firm._book.now()[2]["posts"]["retailer-1"]["version"] == before


def test_a_policy_of_another_firm_is_refused(office, tmp_path):
    name = office.client.post("/api/policies", content=zipped(a_run(tmp_path / "run", "a3").path)).json()["policy"]
    refused(office.client.post("/api/departments/retailer-1/swap", json={"policy": name}), 409, "built otherwise")


def test_what_is_under_way_is_withdrawn_by_the_command_which_lists_what_was_followed(office, capsys):
    there = ("--home", str(office.firm.folder.parent))
    asked = office.firm.swap("retailer-3", "decomposition-aggregation", canary=100_000, wait=0.1, command="endless")
    assert asked["state"] == "pending"
    assert run(["cancel", "shop", "endless", "--why", "it takes too long", *there]) == 0
    assert office.firm._book.command("endless").state == "refused"
    assert run(["cancel", "shop", "endless", *there]) == 2
    assert "COMMAND must be one that is under way (none is under way), got 'endless'" in capsys.readouterr().err
    assert run(["versions", "shop", "--json", *there]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert ("retailer-3", 1) in {(row["department"], row["version"]) for row in rows}


def test_an_office_that_was_bound_elsewhere_is_refused_in_one_line(office, capsys):
    port = httpx.URL(office.url).port
    home = str(office.firm.folder.parent)
    assert run(["office", "shop", "--port", str(port), "--home", home]) == 2
    error = capsys.readouterr().err
    assert f"--port {port} cannot be listened at" in error
    assert error.count("\n") == 1
