"""One training in a process of its own: python -m bench.train_run FORM STEPS SETTING-as-JSON.

FORM is `truelead` (this package's loop, engine and feed), `trainer` (Hugging Face's Trainer with
one question a row, the frozen encoder run for each row as LLaVA does) or `trainer-features` (the
same, given the encoder's output). Prints one line of JSON: losses, wall and CPU seconds of each
step, the model's FLOPs of a step, and peak memory.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
import time
from typing import Any

import torch

from bench.train_setting import Built, Memory, Setting, build, optimization, plan_of
from truelead.config import TrainConfig
from truelead.model.batch import IGNORED_LABEL
from truelead.train.device import peak_device_memory_bytes
from truelead.train.metrics import peak_memory_bytes


class Clock:
    """Wall and CPU seconds between calls."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self._last = (time.perf_counter(), time.process_time())

    def tick(self) -> None:
        """A step is done, on the GPU too."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = (time.perf_counter(), time.process_time())
        self.wall.append(now[0] - self._last[0])
        self.cpu.append(now[1] - self._last[1])
        self._last = now


def truelead(built: Built, setting: Setting, steps: int) -> tuple[list[float], Clock]:
    """This package: the loop and engine of a stage, ZeRO 0, one worker in this process."""
    import torch.distributed as dist

    from truelead.train.engine import Engine
    from truelead.train.environment import prepare_worker
    from truelead.train.loop import LoopConfig, Trainer
    from truelead.train.packing import make_packer
    from truelead.train.question_task import QuestionTask
    from truelead.train.work import work_of

    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
        os.environ.setdefault(name, value)
    on_gpu = setting.device == "cuda"
    backend = "nccl" if on_gpu else "gloo"
    dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    prepare_worker(1)
    train = TrainConfig(
        use_gpu=on_gpu,
        dtype="bfloat16" if on_gpu else "float32",
        zero_stage=1 if on_gpu else 0,
        packing=setting.packing,  # type: ignore[arg-type]
        packed_attention=setting.attention,  # type: ignore[arg-type]
    )
    packer = make_packer(train, built.model, reads_options=False)
    work = work_of(built.model)
    engine = Engine(built.model, train, optimization(steps))
    task = QuestionTask(
        plan_of(setting),
        Memory(built.features_NPD),
        built.processor,
        steps=steps,
        rank=0,
        workers=1,
        packer=packer,
        in_process=True,
        work=work,
        strata=("one",),
    )
    trainer = Trainer(engine, task, LoopConfig(steps, 10**9, 10, 0))
    clock, losses = Clock(), []
    for batch in trainer.batch_generator():
        losses.append(trainer.train_step(batch)["loss"])
        clock.tick()
    return losses, clock


def hugging_face(
    built: Built, setting: Setting, steps: int, *, encode: bool
) -> tuple[list[float], Clock]:
    """Trainer on the same rows in the same order, already tokenised; full logits and its loss."""
    from torch.utils.data import SequentialSampler
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from truelead.train.optimizer import build_optimizer

    prompts = built.processor.prompts
    rows: list[dict[str, Any]] = []
    for step in itertools.islice(plan_of(setting).steps(), steps):
        for planned in step.items:
            prefix = prompts.parts(1).prefix
            for drawn in planned.content:
                row = prompts.row(drawn.question, 1, True)
                labels = [IGNORED_LABEL] * (len(prefix) + len(row.ids) - row.answer_tokens)
                answer = row.ids[len(row.ids) - row.answer_tokens :].tolist()
                rows.append(
                    {
                        "ids": [*prefix, *row.ids.tolist()],
                        "labels": labels + answer,
                        "ecg": int(planned.item[0]),
                    }
                )

    def collate(items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids, mask = built.processor.pad([item["ids"] for item in items])
        labels = torch.full_like(ids, IGNORED_LABEL)
        for at, item in enumerate(items):
            labels[at, : len(item["labels"])] = torch.tensor(item["labels"])
        ecgs = [item["ecg"] for item in items]
        values = built.ecg_NLT if encode else built.features_NPD
        empty = torch.full((len(items),), -1)
        return {
            "input_ids": ids,
            "attention_mask": mask.long(),
            "labels": labels,
            "ecg_index_BE": torch.stack([torch.arange(len(items)), empty], dim=1),
            "ecg_NLT" if encode else "features_NPD": torch.from_numpy(values[ecgs]),
        }

    clock, losses = Clock(), []

    class Ticking(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.tick()

    class InOrder(Trainer):  # type: ignore[misc]
        def _get_train_sampler(self, *_: Any) -> SequentialSampler:
            return SequentialSampler(rows)

        def compute_loss(self, *arguments: Any, **named: Any) -> Any:
            loss = super().compute_loss(*arguments, **named)
            losses.append(float((loss[0] if isinstance(loss, tuple) else loss).detach()))
            return loss

    chosen = optimization(steps)
    optimizer = build_optimizer(built.model, chosen)
    with tempfile.TemporaryDirectory() as folder:
        trainer = InOrder(
            model=built.model,
            args=TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=setting.ecgs_per_step * setting.questions,
                max_steps=steps,
                max_grad_norm=1.0,
                use_cpu=setting.device == "cpu",
                bf16=setting.device == "cuda",
                report_to=[],
                save_strategy="no",
                logging_strategy="no",
                remove_unused_columns=False,
                disable_tqdm=True,
                label_names=["labels"],
            ),
            train_dataset=rows,
            data_collator=collate,
            optimizers=(
                optimizer,
                torch.optim.lr_scheduler.LambdaLR(optimizer, chosen.factor),
            ),
            callbacks=[Ticking()],
        )
        trainer.train()
    return losses, clock


def step_flops(built: Built, setting: Setting) -> float | None:
    """The model's FLOPs of one step, the same for every form: what a question's answer needs."""
    from truelead.model.processing import GroupInput
    from truelead.train.work import work_of

    work = work_of(built.model)
    step = next(plan_of(setting).steps())
    groups = [
        GroupInput((int(planned.item[0]),), tuple(drawn.question for drawn in planned.content))
        for planned in step.items
    ]
    batch = built.processor.batch(groups, features=built.features_NPD)
    return None if work is None else work.flops(batch)


def main() -> None:
    """Train, and print what was measured."""
    torch.set_num_threads(1)
    form, steps, setting = sys.argv[1], int(sys.argv[2]), Setting(**json.loads(sys.argv[3]))
    built = build(setting)
    flops = step_flops(built, setting)
    if form == "truelead":
        losses, clock = truelead(built, setting, steps)
    else:
        losses, clock = hugging_face(built, setting, steps, encode=form == "trainer")
    told = {"losses": losses, "wall": clock.wall, "cpu": clock.cpu, "flops": flops}
    told["memory_bytes"] = peak_device_memory_bytes() or peak_memory_bytes()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
