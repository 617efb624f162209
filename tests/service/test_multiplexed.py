"""A base and its adapters behind a real Serve: asked at once, loaded once, the oldest let go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from truelead.errors import ModelError
from truelead.model.answering import Answerer, Ask
from truelead.model.provenance import weights_sha256
from truelead.service.client import ask
from truelead.service.run import APPLICATION, free_port, serve_model, stop
from truelead.types import Ecg

pytestmark = [pytest.mark.ray, pytest.mark.slow]

OPTIONS = ("yes", "no")
BASE = "arm/finetune"


@pytest.fixture(scope="module")
def url(ray_cluster: Any, calibrated_folder: Path, adapters: dict[str, Path]) -> Iterator[str]:
    address = serve_model(
        calibrated_folder,
        port=free_port(),
        block=False,
        arguments={
            "cpus_per_replica": 0.5,
            "adapters": {
                **{name: str(folder) for name, folder in adapters.items()},
                "twin": str(adapters["first"]),
            },
            "adapters_in_memory": 2,
        },
    )
    yield address
    stop()


def loads() -> list[str]:
    from ray import serve

    handle = serve.get_deployment_handle("Model", app_name=APPLICATION)
    found: list[str] = handle.recent_loads.remote().result(timeout_s=10)
    return found


def test_base_and_adapters_answer_at_once(
    url: str,
    ecgs: list[Ecg],
    calibrated_folder: Path,
    stages: dict[str, Path],
) -> None:
    folders = {BASE: calibrated_folder, **stages}
    answerers = {name: Answerer.from_pretrained(folder) for name, folder in folders.items()}
    digests = {name: weights_sha256(folder) for name, folder in folders.items()}
    listed = httpx.get(f"{url}/v1/models", trust_env=False).json()["models"]
    assert [one["name"] for one in listed] == [BASE, "first", "second", "twin"]
    assert [one["digest"] for one in listed] == [*digests.values(), digests["first"]]
    assert loads() == []
    work = [(name, at) for at in range(8) for name in (None, "first", "second", BASE)]

    def send(one: tuple[str | None, int]) -> Any:
        name, at = one
        return ask(url, [ecgs[at]], "Is it normal?", OPTIONS, model=name)

    with ThreadPoolExecutor(len(work)) as pool:
        answers = list(pool.map(send, work))
    for (asked, at), answer in zip(work, answers, strict=True):
        name = asked or BASE
        assert (answer.model, answer.model_digest) == (name, digests[name])
        [expected] = answerers[name].answer([Ask((ecgs[at],), "Is it normal?", OPTIONS)])
        assert answer.option_probabilities == pytest.approx(expected.option_probabilities, abs=1e-5)
    assert sorted(loads()) == ["first", "second"]


def test_the_one_not_asked_for_longest_is_let_go(url: str, ecgs: list[Ecg]) -> None:
    before = len(loads())
    for name in ("first", "second", "twin", "second", "first"):
        assert ask(url, ecgs[:1], "Is it new?", OPTIONS, model=name).model == name
    assert loads()[before:] == ["twin", "first"]


def test_an_unknown_model_is_404(url: str, body: Callable[..., dict[str, Any]]) -> None:
    found = httpx.post(f"{url}/v1/ask", json=body(0, model="smith"), trust_env=False)
    assert found.status_code == 404
    assert "smith" not in found.text


def test_a_folder_of_another_base_stops_the_start(
    url: str, adapters: dict[str, Path], stages: dict[str, Path]
) -> None:
    with pytest.raises(ModelError, match="expected an adapter of the model"):
        serve_model(
            stages["second"],
            port=free_port(),
            block=False,
            arguments={"adapters": {"first": str(adapters["first"])}},
        )
