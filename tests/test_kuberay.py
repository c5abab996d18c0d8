"""The manifests for Kubernetes: read by Ray's own reader of them, and, where they lie about, held against the CRDs.

`FIRMWIDE_KUBERAY_CRDS` names the folder helm-chart/kuberay-operator/crds of KubeRay.
"""

import os
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[1]
CRDS = os.environ.get("FIRMWIDE_KUBERAY_CRDS")
MANIFESTS = {file.name: list(yaml.safe_load_all(file.read_text())) for file in (ROOT / "kuberay").glob("*.yaml")}


def _cluster(manifest):
    return manifest["spec"]["rayClusterSpec"] if manifest["kind"] == "RayJob" else manifest["spec"]


@pytest.mark.parametrize("file", MANIFESTS)
def test_ray_reads_the_cluster_as_it_is_meant(file):
    reader = pytest.importorskip("ray.autoscaler._private.kuberay.autoscaling_config")
    manifest = MANIFESTS[file][0]
    resource = {"metadata": {"name": "firmwide", "namespace": "default"}, "spec": _cluster(manifest)}
    found = reader._derive_autoscaling_config_from_ray_cr(resource)
    (group,) = set(found["available_node_types"]) - {found["head_node_type"]}
    workers = found["available_node_types"][group]
    assert group == "departments"
    assert (workers["min_workers"], workers["max_workers"]) == ((0, 8) if file == "train.yaml" else (2, 2))
    assert (
        workers["resources"]["CPU"] == found["available_node_types"][found["head_node_type"]]["resources"]["CPU"] == 4
    )
    assert workers["resources"]["memory"] == 8 * 2**30


@pytest.mark.parametrize("file", MANIFESTS)
def test_pods_mount_what_runs_are_kept_on_and_run_the_image_of_the_dockerfile(file):
    cluster = _cluster(MANIFESTS[file][0])
    (claim,) = (part for part in MANIFESTS["train.yaml"] if part["kind"] == "PersistentVolumeClaim")
    assert "docker build -t firmwide ." in (ROOT / "Dockerfile").read_text()
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert container["image"] == "firmwide"
        assert container["volumeMounts"] == [{"name": pod["volumes"][0]["name"], "mountPath": "/runs"}]
        assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


@pytest.mark.skipif(CRDS is None, reason="FIRMWIDE_KUBERAY_CRDS names no folder of KubeRay's CRDs")
@pytest.mark.parametrize("file", MANIFESTS)
def test_the_manifest_is_what_the_crd_says(file):
    manifest = MANIFESTS[file][0]
    crd = yaml.safe_load(Path(CRDS, f"ray.io_{manifest['kind'].lower()}s.yaml").read_text())
    (schema,) = (v["schema"]["openAPIV3Schema"] for v in crd["spec"]["versions"] if v["name"] == "v1")
    validator = Draft202012Validator(_closed(schema))
    assert [error.message for error in validator.iter_errors(manifest)] == []
    manifest["spec"]["workers"] = 2
    assert list(validator.iter_errors(manifest))


def _closed(schema):
    """The schema with unknown fields refused where fields are listed, as Kubernetes refuses them."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items() if key != "x-kubernetes-int-or-string"}
    if schema.get("x-kubernetes-int-or-string"):
        return {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    listed, open_ended = schema.get("properties"), schema.get("x-kubernetes-preserve-unknown-fields")
    if schema.get("type") == "object" and isinstance(listed, dict) and not open_ended and set(listed) - {"metadata"}:
        closed.setdefault("additionalProperties", False)
    return closed
