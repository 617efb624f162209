"""The peers of the serving benchmark: the same model behind plain FastAPI, as people write it.

    one-at-a-time   each question is answered alone, by the model's own forward pass and
                    `generate_greedily`, one question after another (a lock around the model).
    batching        questions that arrive within 5 ms, or while another batch is worked on, are
                    answered in one padded batch of at most 16 (FastAPI with its own batcher).

Both read the same requests with TrueLead's own readers (JSON with the files' bytes in base64), use
its processor and weights, run under uvicorn in one process, and give the same content: the answer
and the options' probabilities, and with `--reliance` the reliance as well, by the same meter.
Neither knows an ECG again. Started by `bench.serve_load`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from truelead.model.answering import Answer, Answerer, as_question
from truelead.model.processing import GroupInput
from truelead.model.reference_ecgs import ReferenceEcgs
from truelead.model.reliance import RelianceMeter
from truelead.service.body import validated
from truelead.service.ecg_input import decode_ecg
from truelead.service.wire import AskRequest
from truelead.service.wire_ecg import KnownInput

BATCH, WAIT_SECONDS = 16, 0.005
Asked = tuple[AskRequest, tuple[Any, ...]]


class Model:
    """Answers questions, each with its own copy of its ECGs, in one batch."""

    def __init__(self, folder: Path, reliance: bool) -> None:
        self.answerer = Answerer.from_pretrained(folder)
        self.meter = RelianceMeter(self.answerer, ReferenceEcgs.load(folder)) if reliance else None

    def answer(self, asked: Sequence[Asked]) -> list[dict[str, Any]]:
        """What is sent back of each question."""
        standardise = self.answerer.processor.standardise
        ecgs = [ecg for _, some in asked for ecg in some]
        groups, at = [], 0
        for request, some in asked:
            places = tuple(range(at, at + len(some)))
            at += len(some)
            question = as_question(request.question.strip(), request.options or ())
            groups.append(GroupInput(places, (question,), with_answers=False))
        with torch.inference_mode():
            stack = torch.stack([torch.from_numpy(standardise(ecg)) for ecg in ecgs])
            features = self.answerer.model.encode(stack).numpy()
        answers = self.answerer.answer_groups(groups, features=features)
        rests: list[float | None] = [None] * len(answers)
        if self.meter is not None:
            found = self.meter.measure(groups, answers, features=features)
            rests = [None if one is None else one.reliance for one in found]
        return [_content(answer, nats) for answer, nats in zip(answers, rests, strict=True)]


def _content(answer: Answer, nats: float | None) -> dict[str, Any]:
    return {
        "answer": answer.text,
        "option_probabilities": answer.option_probabilities,
        "reliance": {"nats": nats},
    }


def _read(body: bytes) -> Asked:
    asked = validated(json.loads(body), AskRequest)
    ecgs = tuple(decode_ecg(ecg) for ecg in asked.ecgs if not isinstance(ecg, KnownInput))
    return asked, ecgs


def one_at_a_time(model: Model) -> FastAPI:
    """FastAPI around the model, one question after another."""
    api = FastAPI()
    turn = asyncio.Lock()

    @api.post("/v1/ask")
    async def ask(request: Request) -> Response:
        asked = await run_in_threadpool(_read, await request.body())
        async with turn:
            [found] = await run_in_threadpool(model.answer, [asked])
        return Response(json.dumps(found), media_type="application/json")

    return api


def batching(model: Model) -> FastAPI:
    """FastAPI with a batcher of its own: a queue and one worker."""
    api = FastAPI()
    queue: asyncio.Queue[tuple[Asked, asyncio.Future[dict[str, Any]]]] = asyncio.Queue()
    workers: list[asyncio.Task[None]] = []

    async def work() -> None:
        while True:
            batch = [await queue.get()]
            deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
            while len(batch) < BATCH:
                left = deadline - asyncio.get_running_loop().time()
                try:
                    async with asyncio.timeout(max(left, 0.0)):
                        batch.append(await queue.get())
                except TimeoutError:
                    break
            found = await run_in_threadpool(model.answer, [asked for asked, _ in batch])
            for (_, done), content in zip(batch, found, strict=True):
                done.set_result(content)

    @api.post("/v1/ask")
    async def ask(request: Request) -> Response:
        if not workers:
            workers.append(asyncio.create_task(work()))
        asked = await run_in_threadpool(_read, await request.body())
        done: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        await queue.put((asked, done))
        return Response(json.dumps(await done), media_type="application/json")

    return api


PEERS = {"one-at-a-time": one_at_a_time, "batching": batching}


def main() -> None:
    """Serve one peer until it is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=sorted(PEERS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--reliance", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    api = PEERS[given.peer](Model(given.folder, given.reliance))

    @api.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ok"}

    uvicorn.run(api, host="127.0.0.1", port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
