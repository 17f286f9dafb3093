"""Compose, Kubernetes and Grafana files say what the code understands: no setting, command or query is invented."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from driftline_streams.cli import app
from driftline_streams.settings import Settings

ROOT = Path(__file__).parents[2]
KUSTOMIZATION = yaml.safe_load((ROOT / "k8s/base/kustomization.yaml").read_text())
RESOURCES = [
    document
    for name in KUSTOMIZATION["resources"]
    for document in yaml.safe_load_all((ROOT / "k8s/base" / name).read_text())
]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
VARIABLES = {f"DRIFTLINE_{name.upper()}" for name in Settings.model_fields}
COMMANDS = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for resource in RESOURCES:
        if "template" in resource.get("spec", {}):
            yield resource["metadata"]["name"], resource["spec"]["template"]["spec"]


def containers() -> Iterator[dict[str, Any]]:
    for _, pod in pods():
        yield from pod.get("initContainers", [])
        yield from pod["containers"]


def test_every_file_of_the_base_is_a_resource_of_the_kustomization() -> None:
    files = {path.name for path in (ROOT / "k8s/base").glob("*.yaml")} - {"kustomization.yaml"}
    assert files == set(KUSTOMIZATION["resources"])


def test_every_resource_has_kind_version_and_a_name() -> None:
    for resource in RESOURCES:
        assert {"apiVersion", "kind", "metadata"} <= resource.keys()
        assert resource["metadata"]["name"]


def test_selectors_match_the_pods_they_mean() -> None:
    for resource in RESOURCES:
        if resource["kind"] in {"StatefulSet", "Deployment"}:
            labels = resource["spec"]["template"]["metadata"]["labels"].items()
            assert resource["spec"]["selector"]["matchLabels"].items() <= labels


def test_settings_of_the_config_map_are_settings_of_the_code() -> None:
    literals = dict(entry.split("=", 1) for entry in KUSTOMIZATION["configMapGenerator"][0]["literals"])
    assert set(literals) <= VARIABLES
    Settings(**{name.removeprefix("DRIFTLINE_").lower(): value for name, value in literals.items()})


def test_settings_of_containers_and_services_are_settings_of_the_code() -> None:
    given = {entry["name"] for container in containers() for entry in container.get("env", [])}
    given |= {name for service in COMPOSE["services"].values() for name in service.get("environment", {})}
    assert {name for name in given if name.startswith("DRIFTLINE_")} <= VARIABLES


def test_commands_are_commands_of_the_cli() -> None:
    for container in containers():
        assert container["args"][0] in COMMANDS
    for service in COMPOSE["services"].values():
        if service.get("image", "").startswith("driftline"):
            line = " ".join(service["command"])
            called = re.findall(r"driftline (\w+)", line) or [service["command"][0]]
            assert set(called) <= COMMANDS


@pytest.mark.parametrize("container", list(containers()), ids=lambda c: str(c["name"]))
def test_a_container_runs_without_privileges_and_within_limits(container: dict[str, Any]) -> None:
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert "memory" in container["resources"]["limits"]


def test_no_file_carries_a_secret() -> None:
    for resource in RESOURCES:
        assert resource["kind"] != "Secret"
    for service in COMPOSE["services"].values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name:
                assert str(value).startswith("${")


def test_services_of_compose_depend_on_services_and_mount_files_that_exist() -> None:
    for service in COMPOSE["services"].values():
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"])
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]


def test_the_queries_of_the_grafana_dashboard_run(migrated: Any) -> None:
    dashboard = json.loads((ROOT / "k8s/grafana/dashboards/models.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            sql = target["rawSql"].replace("${model}", "m")
            migrated.query(re.sub(r"\$__timeFilter\(\w+\)", "1", sql))
