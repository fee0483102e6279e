"""The manifests are what Kubernetes takes, fit together, and replace replicas without losing a click."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bot.settings import Settings
from bot.telemetry.metrics import PATH as METRICS
from handlers.api.routes import api_routes
from handlers.slack.http import PATH as SLACK
from tests.repository.files import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
SCHEMA = json.loads((Path(__file__).parent / "data" / "kubernetes-1.33.schema.json").read_text(encoding="utf-8"))
GUIDE = (ROOT / "docs" / "how-to" / "deploy.md").read_text(encoding="utf-8")
Manifest = Mapping[str, Any]


class OneKeyEach(yaml.SafeLoader):
    """Kubernetes refuses a key that stands twice; PyYAML keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(set(keys)) == len(keys), f"a key stands twice {node.start_mark}"
        return super().construct_mapping(node, deep)


def manifests() -> list[Manifest]:
    """Every document of every file."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.yaml"))]
    return [found for text in texts for found in yaml.load_all(text, OneKeyEach)]


MANIFESTS = manifests()


def name_of(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def the(name: str) -> Manifest:
    """The manifest of a kind and name."""
    (found,) = [one for one in MANIFESTS if name_of(one) == name]
    return found


def every(node: Any, key: str) -> Iterator[Any]:
    """Every value that stands under a key, however deep."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            if name == key:
                yield value
            yield from every(value, key)
    elif isinstance(node, list):
        for one in node:
            yield from every(one, key)


BOT = the("StatefulSet/sayso")
POD = BOT["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
SETTINGS = the("ConfigMap/sayso-settings")["data"]
PORTS = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}


@pytest.mark.parametrize("manifest", MANIFESTS, ids=name_of)
def test_kubernetes_takes_it(manifest: Manifest) -> None:
    kind = SCHEMA["kinds"][f"{manifest['apiVersion']}/{manifest['kind']}"]
    validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": SCHEMA["$defs"]})
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)] == []
    assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "sayso"


def test_the_schema_refuses_what_kubernetes_would() -> None:
    broken = json.loads(json.dumps(BOT))
    broken["spec"]["template"]["spec"]["containers"][0]["livenessProb"] = {}
    validator = jsonschema.Draft202012Validator(
        {"$ref": "#/$defs/io.k8s.api.apps.v1.StatefulSet", "$defs": SCHEMA["$defs"]}
    )
    assert any("livenessProb" in error.message for error in validator.iter_errors(broken))


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_the_probes_ask_routes_that_exist_at_the_port_they_are_served(probe: str) -> None:
    asked = CONTAINER[probe]["httpGet"]
    assert asked["path"] in {route.path for route in api_routes(trust=dict, checks={})}
    assert PORTS[asked["port"]] == int(SETTINGS["SAYSO_PORT"])
    assert asked["path"] == ("/readyz" if probe == "readinessProbe" else "/healthz")


def test_a_replica_is_noticed_to_be_leaving_before_it_leaves_and_may_finish() -> None:
    probe, drain = CONTAINER["readinessProbe"], float(SETTINGS["SAYSO_DRAIN_SECONDS"])
    noticed = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    finishing = 5.0 + 5.0 + 10.0  # open HTTP calls, private answers, steps of loops (bot/house.py)
    assert noticed < drain
    assert POD["terminationGracePeriodSeconds"] > drain + finishing
    assert probe["timeoutSeconds"] > 2  # /readyz answers after 2 s at the latest


def test_there_are_two_replicas_and_never_none() -> None:
    assert BOT["spec"]["replicas"] == 2
    assert BOT["spec"]["updateStrategy"]["type"] == "RollingUpdate"
    budget = the("PodDisruptionBudget/sayso")["spec"]
    assert budget["minAvailable"] == 1
    assert budget["selector"]["matchLabels"].items() <= BOT["spec"]["template"]["metadata"]["labels"].items()


def test_every_setting_exists_and_the_whole_is_one_the_service_starts_with(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {f"SAYSO_{name.upper()}" for name in Settings.model_fields}
    text = (FOLDER / "settings.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"SAYSO_[A-Z_]+", text)) <= known
    secrets = {"REDIS_URL": "redis://bot:x@redis:6379/0", "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "s"}
    for name, value in {**SETTINGS, **secrets}.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.resolved_slack_mode() == "http"
    assert settings.metrics_port == PORTS["metrics"]
    assert settings.port == PORTS["http"]


def test_only_slacks_calls_and_the_public_keys_are_public() -> None:
    (paths,) = every(the("Ingress/sayso"), "paths")
    assert {(path["path"], path["pathType"]) for path in paths} == {
        (SLACK, "Exact"),
        ("/jwks.json", "Exact"),
        ("/.well-known/jwks.json", "Exact"),
    }
    assert METRICS not in str(paths)
    assert the("Ingress/sayso")["spec"]["tls"]


def test_services_lead_to_ports_that_containers_have() -> None:
    for manifest in MANIFESTS:
        if manifest["kind"] == "Service":
            pods = [
                one
                for one in MANIFESTS
                if one["kind"] == "StatefulSet"
                and manifest["spec"]["selector"].items() <= one["spec"]["template"]["metadata"]["labels"].items()
            ]
            named = {port["name"] for pod in pods for ports in every(pod, "ports") for port in ports}
            assert {port["targetPort"] for port in manifest["spec"]["ports"]} <= named, name_of(manifest)
    assert BOT["spec"]["serviceName"] in {one["metadata"]["name"] for one in MANIFESTS if one["kind"] == "Service"}


def test_what_is_not_in_the_manifests_the_guide_says_how_to_make() -> None:
    here = {one["metadata"]["name"] for one in MANIFESTS if one["kind"] in {"ConfigMap", "Secret"}}
    needed = {item["name"] for key in ("configMapRef", "secretRef", "configMap") for item in every(POD, key)}
    needed |= {secret["secretName"] for pod in MANIFESTS for secret in every(pod, "secret")}
    for name in needed - here:
        assert re.search(rf"kubectl create (secret generic|configmap) {name} ", GUIDE), name


def test_no_secret_stands_in_a_file() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.yaml"))
    assert not re.search(r"xox[abp]-\w|BEGIN|redis://\w+:\w", text)
    assert not [one for one in MANIFESTS if one["kind"] == "Secret"]


@pytest.mark.parametrize("pod", [one for one in MANIFESTS if one["kind"] == "StatefulSet"], ids=name_of)
def test_pods_run_with_as_little_as_they_need(pod: Manifest) -> None:
    spec = pod["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        limits = container["securityContext"]
        assert limits["readOnlyRootFilesystem"]
        assert limits["allowPrivilegeEscalation"] is False
        assert limits["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]


def test_the_pod_runs_as_the_images_user_and_mounts_where_the_image_looks() -> None:
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"USER {POD['securityContext']['runAsUser']}\n" in image
    mounts = {mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert re.search(r"SAYSO_STATE=(\S+)", image)[1] in mounts  # type: ignore[index]  # it must be there
    assert str(Path(re.search(r"SAYSO_POLICY=(\S+)", image)[1]).parent) in mounts  # type: ignore[index]  # likewise
    state = Settings(state=Path("/var/lib/sayso"), slack_mode="off")
    assert str(state.signing_key) in mounts
    volumes = {volume["name"] for volume in POD["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in BOT["spec"]["volumeClaimTemplates"]}
    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == volumes


def test_the_network_lets_through_what_is_needed_and_is_closed_otherwise() -> None:
    closed = the("NetworkPolicy/nothing")["spec"]
    assert (closed["podSelector"], closed["policyTypes"]) == ({}, ["Ingress", "Egress"])
    bot = the("NetworkPolicy/bot")["spec"]
    assert bot["podSelector"]["matchLabels"].items() <= BOT["spec"]["template"]["metadata"]["labels"].items()
    assert {port["port"] for rule in bot["ingress"] for port in rule["ports"]} == set(PORTS)
    assert {port["port"] for rule in bot["egress"] for port in rule["ports"]} == {53, 6379, 443, 4318}


def test_redis_keeps_every_write_and_forgets_nothing() -> None:
    (redis,) = the("StatefulSet/redis")["spec"]["template"]["spec"]["containers"]
    given = dict(zip(redis["args"][::2], redis["args"][1::2], strict=True))
    assert given["--appendonly"] == "yes"
    assert given["--appendfsync"] == "always"
    assert given["--maxmemory-policy"] == "noeviction"
    assert given["--aclfile"].startswith("/etc/valkey/")
