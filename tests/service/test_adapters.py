"""Adapters beside their base: each answers as its merged stage, and is asked by its name."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from ray.exceptions import RayActorError

from truelead.errors import ConfigError, ModelError, ServiceError
from truelead.model.adapter_folder import OWN_TENSORS, read_adapter_manifest
from truelead.model.answering import Answerer, Ask
from truelead.model.provenance import weights_sha256
from truelead.service.adapters import adapter_folders
from truelead.service.arguments import parse_arguments
from truelead.service.batch_answering import BatchAnswerer
from truelead.service.exchange import Inquiry, MissingEcgs, NamedEcg, Reply
from truelead.service.feature_cache import ecg_key
from truelead.service.model_replica import ModelReplica
from truelead.service.replica_backend import ReplicaBackend
from truelead.types import Ecg

Send = Callable[..., httpx.Response]
OPTIONS = ("yes", "no")
BASE = "arm/finetune"


@pytest.fixture(scope="module")
def replica(calibrated_folder: Path, adapters: dict[str, Path]) -> ModelReplica:
    folders = {name: str(folder) for name, folder in adapters.items()}
    return ModelReplica(str(calibrated_folder), adapters=folders)


class ReplicaHandle:
    """A replica in this process, as Serve's handle calls it."""

    def __init__(self, replica: ModelReplica, to: str = "") -> None:
        self.replica, self.to = replica, to
        self.calls: list[tuple[str, str, list[Inquiry]]] = []
        self.deaths = 0

    def options(self, multiplexed_model_id: str) -> ReplicaHandle:
        other = ReplicaHandle(self.replica, multiplexed_model_id)
        other.calls = self.calls
        return other

    def __getattr__(self, method: str) -> Any:
        return _Method(self, method)


class _Method:
    def __init__(self, handle: ReplicaHandle, name: str) -> None:
        self.handle, self.name = handle, name

    async def remote(self, *arguments: Any) -> Any:
        self.handle.calls.append(
            (self.name, self.handle.to, arguments[0] if self.name == "answer_many" else [])
        )
        if self.handle.deaths:
            self.handle.deaths -= 1
            raise RayActorError
        return await getattr(self.handle.replica, self.name)(*arguments)


def backend_of(replica: ModelReplica) -> tuple[ReplicaBackend, ReplicaHandle]:
    handle = ReplicaHandle(replica)
    return ReplicaBackend(handle, 30.0), handle  # type: ignore[arg-type]


def test_an_adapter_answers_as_its_merged_stage(
    replica: ModelReplica, stages: dict[str, Path], ecgs: list[Ecg]
) -> None:
    probabilities = set()
    for name, stage in stages.items():
        merged = Answerer.from_pretrained(stage)
        for shown, options in ((ecgs[:1], OPTIONS), (ecgs[:2], OPTIONS), (ecgs[:1], ())):
            inquiry = Inquiry(tuple(shown), "What changed?", options, model=name)
            [found] = asyncio.run(replica.answer_many([inquiry]))
            [expected] = merged.answer([Ask(tuple(shown), "What changed?", options)])
            assert isinstance(found, Reply)
            assert found.text == expected.text
            assert found.option_probabilities == pytest.approx(
                expected.option_probabilities, abs=1e-5
            )
            assert (found.model.name, found.model.digest) == (name, weights_sha256(stage))
            # Only the second stage was calibrated.
            assert (found.reliance.nats is not None) == (name == "second")
            probabilities.add(round(found.option_probabilities.get("yes", 0.0), 6))
    assert len(probabilities) > 3
    [of_base] = asyncio.run(replica.answer_many([Inquiry((ecgs[0],), "?", OPTIONS)]))
    assert isinstance(of_base, Reply)
    assert of_base.model.name == BASE


def test_a_calibration_of_another_model_does_not_count(
    calibrated_folder: Path, stages: dict[str, Path], adapters: dict[str, Path], tmp_path: Path
) -> None:
    base = BatchAnswerer(calibrated_folder)
    kept = base.adapted("second", adapters["second"])
    assert kept.description.reliance_calibrated
    assert not base.adapted("x", adapters["second"], with_reliance=False).meter
    manifest = read_adapter_manifest(adapters["second"])
    changed = manifest.model_copy(update={"model": "0" * 64})
    folder = shutil.copytree(adapters["second"], tmp_path / "second")
    (folder / "served_adapter.json").write_text(changed.model_dump_json())
    found = base.adapted("second", folder)
    assert not found.description.reliance_calibrated
    assert found.threshold is None


def test_all_models_are_listed_without_being_loaded(
    calibrated_folder: Path, adapters: dict[str, Path], stages: dict[str, Path]
) -> None:
    folders = {name: str(folder) for name, folder in adapters.items()}
    replica = ModelReplica(str(calibrated_folder), adapters=folders)
    listed = asyncio.run(backend_of(replica)[0].models())
    assert [one.name for one in listed] == [BASE, "first", "second"]
    assert [one.digest for one in listed[1:]] == [weights_sha256(path) for path in stages.values()]
    assert {one.base_digest for one in listed} == {None, listed[0].digest}
    assert [one.reliance_calibrated for one in listed] == [True, False, True]
    assert replica.loads == []
    loaded = replica._load("second").answerer.description
    assert loaded == listed[2]
    assert replica.loads == ["second"]


def test_questions_go_by_model_and_known_ecgs_by_model(
    replica: ModelReplica, ecgs: list[Ecg], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {name: replica._load(name) for name in ("first", "second")}

    async def kept(name: str) -> Any:
        return held[name]

    monkeypatch.setattr(replica, "load_adapter", kept)
    backend, handle = backend_of(replica)
    ecg = NamedEcg(ecg_key(ecgs[3]), ecgs[3])

    def inquiry(model: str) -> Inquiry:
        return Inquiry((ecg,), "Normal?", OPTIONS, model=model)

    async def together() -> list[Reply]:
        names = ["", "first", "second", "", "first"]
        return await asyncio.gather(*(backend.answer(inquiry(name)) for name in names))

    found = asyncio.run(together())
    assert [one.model.name for one in found] == [BASE, "first", "second", BASE, "first"]
    calls = [(to, inquiries) for method, to, inquiries in handle.calls if method == "answer_many"]
    assert all({one.model for one in inquiries} == {to} for to, inquiries in calls)
    assert len(calls) < 6
    handle.calls.clear()
    for name in ("", "first"):
        asyncio.run(backend.answer(inquiry(name)))
    # Both have read it by now.
    sent = [one.ecgs[0] for _, _, inquiries in handle.calls for one in inquiries]
    assert all(isinstance(one, NamedEcg) and one.ecg is None for one in sent)
    # An adapter that was let go has read nothing when it comes back.
    held["first"] = replica._load("first")
    again = asyncio.run(backend.answer(inquiry("first")))
    assert again.work.encoded_ecgs == 1
    outcome = asyncio.run(replica.answer_many([inquiry("second"), inquiry("first")]))
    assert [one.model.name for one in outcome if isinstance(one, Reply)] == ["second", "first"]
    assert not any(isinstance(one, MissingEcgs) for one in outcome)


def test_a_dead_replica_is_asked_again_for_an_adapter(
    replica: ModelReplica, ecgs: list[Ecg]
) -> None:
    backend, handle = backend_of(replica)
    to_first = handle.options("first")
    to_first.deaths = 2
    backend._handles["first"] = to_first
    found = asyncio.run(backend.embed((ecgs[0],), "projector", "first"))
    assert found.model.name == "first"
    assert [to for _, to, _ in handle.calls] == ["first"] * 3


def test_an_adapter_that_breaks_while_served_is_503_and_hides_where_it_lies(
    calibrated_folder: Path,
    adapters: dict[str, Path],
    ecgs: list[Ecg],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = shutil.copytree(adapters["first"], tmp_path / "first")
    replica = ModelReplica(str(calibrated_folder), adapters={"first": str(folder)})
    (folder / OWN_TENSORS).write_bytes(b"x")
    for name in ("first", "never"):
        inquiry = Inquiry((ecgs[0],), "?", OPTIONS, model=name)
        [refused] = asyncio.run(replica.answer_many([inquiry]))
        for error in (
            refused,
            asyncio.run(replica.embed((ecgs[0],), "encoder", name)),
            asyncio.run(replica.attribute(inquiry, None)),  # type: ignore[arg-type]
        ):
            assert isinstance(error, ServiceError)
            assert error.status == 503
            assert str(tmp_path) not in str(error)
    assert "found a changed file" in caplog.text
    replica.check_health()


class Several:
    """A replica with its adapters as the HTTP interface sees it, without Serve between."""

    def __init__(self, replica: ModelReplica) -> None:
        self.replica = replica

    def __getattr__(self, name: str) -> Any:
        # A backend belongs to the loop of one request here.
        return getattr(backend_of(self.replica)[0], name)


@pytest.fixture(scope="module")
def several(replica: ModelReplica) -> Several:
    return Several(replica)


def test_requests_name_a_model(
    several: Several, send: Send, body: Callable[..., dict[str, Any]], stages: dict[str, Path]
) -> None:
    def ask(path: str, **arguments: Any) -> httpx.Response:
        return send("POST", path, backend=several, **arguments)

    digest = {name: weights_sha256(stage) for name, stage in stages.items()}
    for fields, expected in (
        ({}, BASE),
        ({"model": BASE}, BASE),
        ({"model": "first"}, "first"),
        ({"model": "second"}, "second"),
    ):
        answer = ask("/v1/ask", json=body(0, **fields)).json()
        assert answer["model"] == expected
        assert answer["model_digest"] == digest.get(expected, answer["model_digest"])
    assert ask("/v1/compare", json=body(0, 1, model="first")).json()["model"] == "first"
    parts = [
        {"type": "input_ecg", "input_ecg": body(0)["ecgs"][0]},
        {"type": "text", "text": "Normal?"},
    ]
    chat = {"model": "second", "messages": [{"role": "user", "content": parts}]}
    completion = ask("/v1/chat/completions", json=chat).json()
    assert completion["model"] == "second"
    assert completion["truelead"]["model_digest"] == digest["second"]
    shown = {"input": body(0)["ecgs"], "kind": "projector"}
    vectors = [
        ask("/v1/embeddings", json={**shown, **named}).json()
        for named in ({}, {"model": "first"}, {"model": "second"})
    ]
    assert [one["model"] for one in vectors] == [BASE, "first", "second"]
    assert len({tuple(one["data"][0]["embedding"]) for one in vectors}) == 3


def test_a_form_names_a_model(
    several: Several, send: Send, ecgs: list[Ecg], tmp_path: Path
) -> None:
    from truelead.signal import write_record

    path = write_record(tmp_path, ecgs[0], name="a")
    files = [
        ("files", (f"a{suffix}", path.with_suffix(suffix).read_bytes()))
        for suffix in (".hea", ".dat")
    ]
    for name, expected in (("first", "first"), ("", BASE)):
        data = {"question": "Normal?", "model": name}
        found = send("POST", "/v1/ask/files", backend=several, data=data, files=files)
        assert found.json()["model"] == expected


def test_a_model_that_nobody_knows_is_404_and_is_not_repeated(
    several: Several, send: Send, body: Callable[..., dict[str, Any]]
) -> None:
    message = {"role": "user", "content": [{"type": "input_ecg", "input_ecg": body(0)["ecgs"][0]}]}
    message["content"].append({"type": "text", "text": "?"})  # type: ignore[attr-defined]
    requests: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("POST", "/v1/ask", {"json": body(0, model="smith")}),
        ("POST", "/v1/compare", {"json": body(0, 1, model="smith")}),
        ("POST", "/v1/embeddings", {"json": {"input": body(0)["ecgs"], "model": "smith"}}),
        ("POST", "/v1/chat/completions", {"json": {"model": "smith", "messages": [message]}}),
        ("GET", "/v1/models/smith", {}),
    )
    for method, path, arguments in requests:
        refused = send(method, path, backend=several, **arguments)
        assert refused.status_code == 404, refused.text
        error = refused.json()["error"]
        assert error["message"] == (
            "model: expected one of 'arm/finetune', 'first', 'second', found another"
        )
    assert send("POST", "/v1/ask", backend=several, json=body(0, model=7)).status_code == 422
    listed = send("GET", "/v1/models", backend=several).json()
    assert [one["id"] for one in listed["data"]] == [BASE, "first", "second"]
    assert send("GET", "/v1/models/second", backend=several).json() == listed["data"][2]


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"adapters": {"a b": "x"}}, "args: adapters"),
        ({"adapters": {"../a": "x"}}, "args: adapters"),
        ({"adapters": {f"a{at}": "x" for at in range(65)}}, "args: adapters: expected at most 64"),
        ({"adapters_in_memory": 0}, "adapters_in_memory"),
        ({"adapters": {"a": "x"}, "engine": "vllm"}, "engine: transformers"),
    ],
)
def test_arguments_that_do_not_fit_are_one_line(tree: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as refused:
        parse_arguments(tree)
    assert "\n" not in str(refused.value)


def test_folders_are_looked_at_before_anything_starts(
    calibrated_folder: Path, adapters: dict[str, Path], stages: dict[str, Path], tmp_path: Path
) -> None:
    def checked(base: Path, **folders: Path) -> dict[str, str]:
        arguments = parse_arguments({"model": str(base), "adapters": folders})
        return adapter_folders(arguments, base)

    found = checked(calibrated_folder, **adapters)
    assert found == {name: str(folder.resolve()) for name, folder in adapters.items()}
    assert checked(tmp_path) == {}
    with pytest.raises(ModelError, match="expected the folder of an adapter"):
        checked(calibrated_folder, a=tmp_path)
    with pytest.raises(ModelError, match="expected an adapter of the model"):
        checked(stages["first"], a=adapters["first"])
    twin = shutil.copytree(calibrated_folder, tmp_path / "mine")
    with pytest.raises(ConfigError, match="another name than the model's own"):
        checked(twin, mine=adapters["first"])
