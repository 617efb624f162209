"""The service's arguments and its rule of access."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from truelead.errors import ConfigError, ModelError
from truelead.service.access import Access, is_loopback, token_sha256
from truelead.service.arguments import access_rule, model_folder, parse_arguments
from truelead.service.run import address, free_port, serve_model

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"modell": "x"}, "args: unknown key 'modell' .expected model, token_file"),
        ({"replicas": {"maximun": 2}}, "unknown key 'replicas.maximun' .expected minimum, maximum"),
        ({"replicas": {"minimum": 3, "maximum": 2}}, "maximum >= minimum"),
        ({"batch": {"size": 0}}, "args: batch.size: expected greater than or equal to 1"),
        ({"token_sha256": "secret"}, "token_sha256"),
        ({"door": {}, "ingress": {"maximum": 2}}, "ingress.minimum = ingress.maximum"),
        ({"encoder": {"gpus": 1}}, "unknown key 'encoder.gpus'"),
        ({"token_sha256": "0" * 64, "token_file": "x"}, "found both"),
    ],
)
def test_an_argument_that_does_not_fit_is_one_line(tree: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as refused:
        parse_arguments(tree)
    assert "\n" not in str(refused.value)


def test_the_shipped_configuration_is_accepted_and_loopback_only() -> None:
    tree = yaml.safe_load((REPOSITORY / "serve" / "config.yaml").read_text(encoding="utf-8"))
    from ray.serve.schema import ServeDeploySchema

    ServeDeploySchema.model_validate(tree)
    assert is_loopback(tree["http_options"]["host"])
    (application,) = tree["applications"]
    arguments = parse_arguments(application["args"])
    assert arguments.token_sha256 is None
    assert arguments.door is not None
    assert is_loopback(arguments.door.host)
    module, name = application["import_path"].split(":")
    assert (REPOSITORY / Path(*module.split("."))).with_suffix(".py").is_file()
    assert name == "build"


def test_serve_config_builds_what_the_package_builds() -> None:
    import serve.app
    from truelead.service import application

    assert serve.app.build is application.build


def test_a_door_to_elsewhere_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRUELEAD_TOKEN", raising=False)
    door = {"host": "192.0.2.1"}
    with pytest.raises(ConfigError, match=r"door\.host: expected 127\.0\.0\.1, or a token"):
        access_rule(parse_arguments({"door": door}))
    assert access_rule(parse_arguments({"door": door, "token_sha256": "0" * 64})).token_sha256


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected a model folder"):
        model_folder(parse_arguments({"model": str(tmp_path)}))


def test_the_token_comes_from_a_private_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "a-token-of-24-characters"
    monkeypatch.delenv("TRUELEAD_TOKEN", raising=False)
    assert access_rule(parse_arguments({})) == Access("")
    path = tmp_path / "token"
    with pytest.raises(ConfigError, match="token_file"):
        access_rule(parse_arguments({"token_file": str(path)}))
    path.write_text(secret + "\n")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        access_rule(parse_arguments({"token_file": str(path)}))
    path.chmod(0o600)
    rule = access_rule(parse_arguments({"token_file": str(path)}))
    assert rule == Access(token_sha256(secret))
    assert secret not in repr(rule)
    monkeypatch.setenv("TRUELEAD_TOKEN", secret)
    assert access_rule(parse_arguments({})) == rule
    monkeypatch.setenv("TRUELEAD_TOKEN", "short")
    with pytest.raises(ConfigError, match="at least 16"):
        access_rule(parse_arguments({}))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("192.168.0.7", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("", False),
    ],
)
def test_what_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.7", "::"])  # noqa: S104
def test_beyond_loopback_a_token_is_needed(host: str, model_folder: Path) -> None:
    with pytest.raises(ConfigError, match="TRUELEAD_TOKEN"):
        serve_model(model_folder, host=host, port=free_port(), block=False)


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_a_port_that_is_none(port: int, model_folder: Path) -> None:
    with pytest.raises(ConfigError, match="1 to 65535"):
        serve_model(model_folder, port=port, block=False)


def test_addresses() -> None:
    assert address("127.0.0.1", 1) == "http://127.0.0.1:1"
    assert address("0.0.0.0", 1) == "http://127.0.0.1:1"  # noqa: S104
    assert address("::", 1) == "http://[::1]:1"
