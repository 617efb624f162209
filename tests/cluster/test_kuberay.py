"""The manifests of deploy/kuberay: what can be checked without a cluster, or KubeRay's schemas.

With TRUELEAD_KUBERAY_CRDS, a folder with KubeRay's CustomResourceDefinitions (in its repository:
ray-operator/config/crd/bases), the manifests are validated against them too; unknown fields fail.
"""

from __future__ import annotations

import copy
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from truelead import __version__
from truelead.service.arguments import parse_arguments

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "deploy" / "kuberay"
IN_IMAGE = "/opt/truelead/"
KINDS = {"raycluster": "RayCluster", "rayjob": "RayJob", "rayservice": "RayService"}
CLUSTER_KEYS = {"RayJob": "rayClusterSpec", "RayService": "rayClusterConfig"}


def load(name: str) -> dict[str, Any]:
    (document,) = yaml.safe_load_all((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return dict(document)


def cluster_of(manifest: dict[str, Any]) -> dict[str, Any]:
    key = CLUSTER_KEYS.get(manifest["kind"])
    return dict(manifest["spec"][key] if key else manifest["spec"])


def pods(manifest: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod that a manifest describes, by what it is."""
    cluster = cluster_of(manifest)
    yield "head", cluster["headGroupSpec"]["template"]["spec"]
    for group in cluster["workerGroupSpecs"]:
        yield group["groupName"], group["template"]["spec"]
    if submitter := manifest["spec"].get("submitterPodTemplate"):
        yield "submitter", submitter["spec"]


def pinned_ray() -> str:
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith("ray==")]
    return line.removeprefix("ray==")


@pytest.fixture(params=KINDS)
def manifest(request: pytest.FixtureRequest) -> dict[str, Any]:
    return load(request.param)


def test_every_file_is_known() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {*KINDS, "storage"}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_kinds(name: str, kind: str) -> None:
    found = load(name)
    assert (found["apiVersion"], found["kind"]) == ("ray.io/v1", kind)


def test_images_and_ray_are_of_one_pinned_version(manifest: dict[str, Any]) -> None:
    import ray

    version = pinned_ray()
    assert version == ray.__version__
    assert cluster_of(manifest)["rayVersion"] == version
    images = {one["image"] for _, pod in pods(manifest) for one in pod["containers"]}
    (image,) = images
    assert image.rpartition(":")[2] == f"{__version__}-ray{version}"


def test_ray_asks_for_the_token_of_a_secret(manifest: dict[str, Any]) -> None:
    assert cluster_of(manifest)["authOptions"] == {
        "mode": "token",
        "secretName": "truelead-ray-token",
    }


def test_no_secret_is_written_down(manifest: dict[str, Any]) -> None:
    for _, pod in pods(manifest):
        for container in pod["containers"]:
            for variable in container.get("env", []):
                if "TOKEN" in variable["name"]:
                    assert set(variable) == {"name", "valueFrom"}
                    assert set(variable["valueFrom"]) == {"secretKeyRef"}
    assert "kind: Secret" not in "".join(p.read_text("utf-8") for p in FOLDER.iterdir())


def test_pods_are_nobody_in_particular_and_write_only_where_they_must(
    manifest: dict[str, Any],
) -> None:
    for name, pod in pods(manifest):
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] == 1000
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        # Only the head's autoscaler talks to Kubernetes.
        assert (pod.get("automountServiceAccountToken") is False) == (name != "head")
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
            assert {"/tmp", "/home/truelead"} <= set(mounts)  # noqa: S108
            assert set(mounts.values()) == set(volumes)
            if name != "submitter":
                claim = volumes[mounts["/shared"]]["persistentVolumeClaim"]["claimName"]
                assert claim == load("storage")["metadata"]["name"]
                assert container["livenessProbe"]["httpGet"]["port"] in (8265, 52365)


def test_the_storage_is_seen_by_all_pods_at_once() -> None:
    assert load("storage")["spec"]["accessModes"] == ["ReadWriteMany"]


def test_the_head_takes_no_work_and_gpu_workers_come_and_go(manifest: dict[str, Any]) -> None:
    cluster = cluster_of(manifest)
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    described = dict(pods(manifest))
    assert "nvidia.com/gpu" not in described["head"]["containers"][0]["resources"]["limits"]
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] == 0 < group["maxReplicas"]
    keys = {one["key"] for one in described["gpu"]["tolerations"]}
    assert {"nvidia.com/gpu", "cloud.google.com/gke-spot"} <= keys
    for name, pod in described.items():
        for container in pod["containers"]:
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"])
            # What Ray counts on is what Kubernetes grants.
            assert name == "submitter" or resources["requests"] == resources["limits"]
            assert resources["limits"].get("nvidia.com/gpu") == ("1" if name == "gpu" else None)


def test_the_job_starts_a_program_of_the_image() -> None:
    program, script, recipe = shlex.split(load("rayjob")["spec"]["entrypoint"])
    assert program == "python"
    assert (REPOSITORY / script.removeprefix(IN_IMAGE)).is_file()
    assert script.startswith(IN_IMAGE)
    assert recipe.startswith("/shared/")


class TestServeConfig:
    @pytest.fixture
    def config(self) -> dict[str, Any]:
        return dict(yaml.safe_load(load("rayservice")["spec"]["serveConfigV2"]))

    def test_ray_and_the_application_accept_it(self, config: dict[str, Any]) -> None:
        from ray.serve.schema import ServeDeploySchema

        parsed = ServeDeploySchema(**config)
        (application,) = parsed.applications
        module, _, name = application.import_path.partition(":")
        assert (REPOSITORY / f"{module.replace('.', '/')}.py").is_file()
        assert name == "build"
        arguments = parse_arguments(application.args)
        limits = dict(pods(load("rayservice")))["gpu"]["containers"][0]["resources"]["limits"]
        assert arguments.gpus_per_replica == float(limits["nvidia.com/gpu"])
        assert arguments.door is None  # it would take the port of KubeRay's probes
        # One replica, and the ingress's share, fit a worker.
        assert arguments.cpus_per_replica + 0.2 <= float(limits["cpu"])
        assert str(arguments.model).startswith("/shared/")
        groups = cluster_of(load("rayservice"))["workerGroupSpecs"]
        assert arguments.replicas.maximum <= groups[0]["maxReplicas"]

    def test_it_is_that_of_serve_but_for_what_differs_here(self, config: dict[str, Any]) -> None:
        path = REPOSITORY / "serve" / "config.yaml"
        at_home = yaml.safe_load(path.read_text(encoding="utf-8"))
        here = copy.deepcopy(config)
        assert here["proxy_location"] == "EveryNode"  # KubeRay asks each worker's proxy
        assert here["http_options"]["host"] == "0.0.0.0"  # noqa: S104
        arguments = []
        for one in (at_home, here):
            del one["proxy_location"], one["http_options"]["host"]
            parsed = parse_arguments(one["applications"][0].pop("args")).model_dump()
            for key in ("model", "cpus_per_replica", "gpus_per_replica", "threads_per_replica"):
                del parsed[key]
            # On one machine the ingress listens itself; memory differs as models do.
            for key in ("door", "prefix_cache_mebibytes"):
                del parsed[key]
            del parsed["replicas"]["maximum"], parsed["ingress"]["maximum"]
            arguments.append(parsed)
        assert here == at_home
        assert arguments[1] == arguments[0]

    def test_callers_need_a_token(self) -> None:
        for name, pod in pods(load("rayservice")):
            names = {one["name"] for one in pod["containers"][0]["env"]}
            assert "TRUELEAD_TOKEN" in names, name


@pytest.fixture(scope="module")
def schemas() -> dict[str, dict[str, Any]]:
    folder = os.environ.get("TRUELEAD_KUBERAY_CRDS")
    if not folder:
        pytest.skip(
            "TRUELEAD_KUBERAY_CRDS names no folder with KubeRay's CustomResourceDefinitions "
            "(ray-operator/config/crd/bases of its repository)"
        )
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = {}
    for name in KINDS:
        text = Path(folder, f"ray.io_{name}s.yaml").read_text(encoding="utf-8")
        versions = yaml.load(text, Loader=loader)["spec"]["versions"]  # noqa: S506
        (schema,) = [one["schema"] for one in versions if one["name"] == "v1"]
        found[name] = schema["openAPIV3Schema"]
        refuse_unknown(found[name])
        found[name]["properties"]["metadata"] = {"type": "object"}
    return found


class TestAgainstKubeRay:
    @pytest.mark.parametrize("name", KINDS)
    def test_the_manifest_fits(self, schemas: dict[str, dict[str, Any]], name: str) -> None:
        validator = jsonschema.Draft7Validator(schemas[name])
        assert not [error.message for error in validator.iter_errors(load(name))]

    @pytest.mark.parametrize("name", KINDS)
    def test_a_typing_error_does_not(self, schemas: dict[str, dict[str, Any]], name: str) -> None:
        wrong = load(name)
        cluster_of(wrong)["workerGroupSpecs"][0]["maxReplica"] = 3
        validator = jsonschema.Draft7Validator(schemas[name])
        assert ["maxReplica" in error.message for error in validator.iter_errors(wrong)] == [True]


def refuse_unknown(schema: Any) -> None:
    """In place: objects take only the fields they list, as Kubernetes' strict validation does."""
    if isinstance(schema, list):
        for part in schema:
            refuse_unknown(part)
    if not isinstance(schema, dict):
        return
    listed = schema.get("type") == "object" and "properties" in schema
    if listed and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    if schema.pop("x-kubernetes-int-or-string", None):
        schema.pop("anyOf", None)
        schema["type"] = ["integer", "string"]
    for part in list(schema.values()):
        refuse_unknown(part)
