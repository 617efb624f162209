"""What an adapter beside its base costs against the same tuning served as a whole model.

Both answer the same 16 closed questions in one batch on one thread, in turns within one run:
ECGs that were never read, and ECGs whose prefixes are kept.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.reported import row
from bench.serve_load import CLOSED, OPTIONS
from bench.serve_services import untrained
from truelead.config import parse_recipe
from truelead.model.adapter_writing import write_adapter
from truelead.model.build import load_model, save_model
from truelead.model.export import save_adapter
from truelead.model.language_model import add_lora
from truelead.service.batch_answering import BatchAnswerer
from truelead.service.exchange import Inquiry, Reply
from truelead.types import Ecg

COMMAND = "make bench SECTION=serve"
ROUNDS = 15
BATCH = 16


def rows() -> list[dict[str, Any]]:
    """Memory, and time of a batch."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="truelead_bench_") as scratch:
        base = untrained(Path(scratch) / "bench" / "pretrain")
        stage, folder = _tuned(base, Path(scratch))
        whole = BatchAnswerer(stage, with_reliance=False)
        of_base = BatchAnswerer(base, with_reliance=False)
        started = time.perf_counter()
        adapted = of_base.adapted("bench", folder, with_reliance=False)
        loaded = time.perf_counter() - started
    taken, merged = _own_bytes(adapted, of_base), _own_bytes(whole)
    found = [
        row(
            f"memory of an adapter: {taken / 1e6:.2f} MB",
            taken / merged,
            "of the merged model's",
            COMMAND,
            peer=f"the merged model: {merged / 1e6:.2f} MB",
        ),
        row("loading an adapter, files hashed", loaded, "s", COMMAND),
    ]
    for name, forgets in (("new ECGs", True), ("known ECGs", False)):
        times = _in_turns((adapted, whole), forgets)
        ratios = times[0] / times[1]
        one, other = (1000 * float(np.median(some)) / BATCH for some in times)
        found.append(
            row(
                f"an adapter's answer, {name}: {one:.2f} ms",
                float(np.median(ratios)),
                "times the merged model's",
                COMMAND,
                peer=f"the merged model: {other:.2f} ms",
                interval=[float(ratios.min()), float(ratios.max())],
            )
        )
    return found


def _tuned(base: Path, scratch: Path) -> tuple[Path, Path]:
    """A stage as a training with LoRA of the default rank leaves it, and its adapter's folder."""
    model, processor = load_model(base)
    wanted = parse_recipe({"name": "bench"}).language_model
    torch.manual_seed(1)
    add_lora(model.language_model, wanted.lora_rank, wanted.lora_alpha)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name or name.startswith("projector"):
                parameter += 0.02 * torch.randn_like(parameter)
    stage, folder = scratch / "bench" / "finetune", scratch / "adapter"
    save_adapter(stage / "adapter", model.language_model)
    save_model(stage, model.eval(), processor)
    folder.mkdir()
    write_adapter(folder, base=base, stage=stage, lora=stage / "adapter")
    return stage, folder


def _own_bytes(one: BatchAnswerer, base: BatchAnswerer | None = None) -> int:
    """Bytes of a model's tensors that the base does not hold."""
    held = (
        set() if base is None else {x.data_ptr() for x in base.answerer.model.state_dict().values()}
    )
    tensors = one.answerer.model.state_dict().values()
    return sum(x.numel() * x.element_size() for x in tensors if x.data_ptr() not in held)


def _in_turns(answerers: Sequence[BatchAnswerer], forgets: bool) -> list[Any]:
    """Seconds of each round's batch, one array a model; each is first in turn."""
    rng = np.random.default_rng(2)
    questions = [
        Inquiry(
            (Ecg(rng.normal(0, 0.3, (12, 1000)).astype(np.float32), 100.0),),
            CLOSED[at % len(CLOSED)],
            tuple(OPTIONS),
        )
        for at in range(BATCH)
    ]
    times: list[list[float]] = [[] for _ in answerers]
    for number in range(-2, ROUNDS):
        order = range(len(answerers)) if number % 2 else reversed(range(len(answerers)))
        for which in order:
            if forgets:
                answerers[which].reading.clear()
            started = time.perf_counter()
            found = answerers[which].answer_all(questions)
            seconds = time.perf_counter() - started
            assert all(isinstance(one, Reply) for one in found), "every question is answered"
            if number >= 0:
                times[which].append(seconds)
    return [np.array(some) for some in times]
