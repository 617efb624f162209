"""What a language-model stage trains on: planned questions in, answer loss out.

Shape suffixes: G groups, B question rows, N ECGs in the batch, P patches, D encoder width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from truelead.debias.adjustment import DrawnQuestion
from truelead.model.batch import IGNORED_LABEL, Batch
from truelead.model.processing import GroupInput, TrueLeadProcessor
from truelead.train.answer_rows import OptionBatch, OptionBatches
from truelead.train.engine import Engine
from truelead.train.feed import stream
from truelead.train.micro_batches import (
    options_part_of,
    part_of,
    split_answers,
    split_options,
    without_weight,
)
from truelead.train.packing import Packer
from truelead.train.plan import Plan, Planned, PlannedStep, Position
from truelead.train.readers import Reader
from truelead.train.step import FeedBatch, LossTerms
from truelead.train.throughput import Ratio
from truelead.train.work import ModelWork, reading_of

Group = tuple[str, ...]
Step = PlannedStep[Group, tuple[DrawnQuestion, ...]]
Content = Batch | OptionBatch


class QuestionTask:
    """Questions drawn for the planned groups; those about one ECG share its encoding."""

    def __init__(
        self,
        plan: Plan[Group, tuple[DrawnQuestion, ...]],
        reader: Reader,
        processor: TrueLeadProcessor,
        *,
        steps: int,
        rank: int,
        workers: int,
        options: OptionBatches | None = None,
        packer: Packer | None = None,
        in_process: bool = False,
        tokens_per_part: int | None = None,
        work: ModelWork | None = None,
        strata: Sequence[str] = (),
    ) -> None:
        """Args:
        reader: gives features (a `FeatureReader`) or standardised signals.
        steps: length of the stage.
        rank, workers: which share of every step is this worker's.
        options: makes rows of options for an objective; None for the answers' likelihood.
        packer: lays rows of answers out in packed sequences; None leaves them to the cache.
        in_process: read the ECGs in this process, not by Ray Data.
        tokens_per_part: bound of a micro-batch; None: a share is run whole.
        work: counts the model's FLOPs; None: they are not counted.
        strata: names of the severity strata by which the loss is told.
        """
        self._plan = plan
        self._reader = reader
        self._processor = processor
        self._steps = steps
        self._rank = rank
        self._workers = workers
        self._options = options
        self._in_process = in_process
        self._packer = packer
        self._tokens_per_part = tokens_per_part
        self._work = work
        self._strata = tuple(strata)
        # The plan's groups follow the listing of the set, as the shards and the features do.
        names = dict.fromkeys(name for group in plan.items for name in group)
        self._storage_order = {name: number for number, name in enumerate(names)}

    def batches(self, step: int, position: dict[str, int] | None) -> Iterator[FeedBatch]:
        """This worker's batches from `step` on."""
        planned = self._plan.steps(Position(**position) if position else Position())
        arrays = stream(
            planned,
            self._record_ids,
            self._reader,
            limit=self._steps - step,
            storage_order=self._storage_order,
            in_process=self._in_process,
        )
        for item, values in arrays:
            content, after = self._batch(item, values), dataclasses.asdict(item.after)
            packs = isinstance(content, Batch) and self._packs(item)
            if self._tokens_per_part is None:
                yield FeedBatch(self._laid_out(content, packs), after)
                continue
            parts: tuple[Content, ...] = (
                split_answers(content, self._tokens_per_part)
                if isinstance(content, Batch)
                else split_options(content, self._tokens_per_part)
            )
            smallest = min(parts, key=lambda part: reading_of(part).tokens)
            yield FeedBatch(
                content=content,
                position=after,
                parts=tuple(self._laid_out(part, packs) for part in parts),
                weight=float(_weight(content)),
                filler=self._laid_out(without_weight(smallest), packs),
            )

    def loss(self, engine: Engine, content: Content) -> LossTerms:
        """Weighted negative log-likelihood of the answers, or the strategy's own objective."""
        read = reading_of(content)
        counts = {"answer_tokens": 0.0, "tokens": float(read.tokens), "ecgs": float(read.ecgs)}
        if self._work is not None:
            counts["model_flops"] = self._work.flops(content)
        content = content.to(engine.device)
        if isinstance(content, OptionBatch):
            loss = output = engine(content)
            batch, tokens_B = content.batch, content.answer_tokens_B
        else:
            batch, output = content, engine(batch=content)
            loss, tokens_B = (batch.weight_B * output.loss_B).sum(), output.tokens_B
        nats_B, of_B = _told(engine, content, output)
        counts["answer_tokens"] = float(tokens_B.sum())
        counts["questions"] = float(batch.rows)
        weight = (batch.weight_B * tokens_B).sum()
        return LossTerms(loss, weight, counts, self._by_stratum(batch, nats_B, of_B))

    def probe(self, engine: Engine, content: Content) -> dict[str, Ratio]:
        """How much worse the answers are told with the ECGs exchanged, in nats a token.

        One question a group is asked again with the ECGs of the next group about as many. A model
        that answers without looking gains nothing from its own. The model is not trained here.
        """
        own = self._sample(content)
        other = with_ecgs_exchanged(own)
        batches = [one.batch if isinstance(one, OptionBatch) else one for one in (own, other)]
        moved_G = (batches[0].ecg_index_GE != batches[1].ecg_index_GE).any(dim=1)
        asked_B = moved_G[batches[0].group_B].to(engine.device)
        told = []
        engine.module.eval()
        with torch.no_grad():
            for one in (own, other):
                one = self._laid_out(one, self._packer is not None).to(engine.device)
                output = engine(one) if isinstance(one, OptionBatch) else engine(batch=one)
                told.append(_told(engine, one, output))
        engine.module.train()
        (own_B, of_B), (other_B, _) = told
        gain = ((other_B - own_B) * asked_B).sum()
        return {"ecg_gain_nats": Ratio(float(gain), float((of_B * asked_B).sum()))}

    def _sample(self, content: Content) -> Content:
        """The first question of each group, of so many groups as fit a part, but at least two."""
        batch = content.batch if isinstance(content, OptionBatch) else content
        group_B = batch.group_B
        first_G = (group_B[1:] != group_B[:-1]).nonzero()[:, 0] + 1
        row_R = torch.cat([first_G.new_zeros(1), first_G])
        if self._tokens_per_part is not None:
            tokens_R = batch.mask_BS.sum(dim=1)[row_R]
            tokens_R = tokens_R + batch.prefix_mask_GP.sum(dim=1)[group_B[row_R]]
            fitting = int((tokens_R.cumsum(dim=0) <= self._tokens_per_part).sum())
            row_R = row_R[: max(2, fitting)]
        if isinstance(content, OptionBatch):
            return options_part_of(content, row_R)
        return part_of(content, row_R)

    def _by_stratum(self, batch: Batch, nats_B: Tensor, of_B: Tensor) -> dict[str, Ratio]:
        """The answers' loss in each severity stratum."""
        if not self._strata:
            return {}
        known_B = (batch.weight_B > 0) & (batch.stratum_B >= 0)
        values_2B = torch.stack([nats_B, of_B]).double() * known_B
        blank_2A = values_2B.new_zeros(2, len(self._strata))
        nats_A, of_A = blank_2A.index_add(1, batch.stratum_B.clamp_min(0), values_2B).tolist()
        return {
            f"nats_{name}": Ratio(nats, count)
            for name, nats, count in zip(self._strata, nats_A, of_A, strict=True)
        }

    def _packs(self, step: Step) -> bool:
        """Whether the step is packed, told from all workers' questions: they must agree."""
        if self._packer is None:
            return False
        rows = sum(len(planned.content) for planned in step.items)
        longest = max(self._tokens(planned) for planned in step.items)
        return self._packer.pays(rows, len(step.items), longest)

    def _tokens(self, planned: Planned[Group, tuple[DrawnQuestion, ...]]) -> int:
        prompts, count = self._processor.prompts, len(planned.item)
        rows = (len(prompts.row(drawn.question, count, True).ids) for drawn in planned.content)
        return len(prompts.parts(count).prefix) + sum(rows)

    def _laid_out(self, content: Content, packs: bool) -> Content:
        if packs and self._packer is not None and isinstance(content, Batch):
            return self._packer.laid_out(content)
        return content

    def _mine(self, step: Step) -> Sequence[Planned[Group, tuple[DrawnQuestion, ...]]]:
        return step.share(self._rank, self._workers)

    def _record_ids(self, step: Step) -> list[str]:
        return list(dict.fromkeys(name for planned in self._mine(step) for name in planned.item))

    def _batch(self, step: Step, values: NDArray[Any]) -> Content:
        place = {name: index for index, name in enumerate(self._record_ids(step))}
        kind = "features" if values.dtype == np.float16 else "ecgs"
        if self._options is not None:
            drawn = [(planned.item, planned.content) for planned in self._mine(step)]
            return self._options(drawn, place, {kind: values})
        groups = [
            GroupInput(
                ecgs=tuple(place[name] for name in planned.item),
                questions=tuple(drawn.question for drawn in planned.content),
                weights=tuple(drawn.weight for drawn in planned.content),
                told_strata=tuple(drawn.told_stratum for drawn in planned.content),
            )
            for planned in self._mine(step)
        ]
        arrays: dict[str, Any] = {kind: values}
        return self._processor.batch(groups, **arrays)


def _weight(content: Content) -> Tensor:
    """What the share adds to the number that a step's loss is divided by."""
    if isinstance(content, OptionBatch):
        return (content.batch.weight_B * content.answer_tokens_B).sum()
    tokens_B = (content.labels_BS[:, 1:] != IGNORED_LABEL).sum(dim=1)
    return (content.weight_B * tokens_B).sum()


def _told(engine: Engine, content: Content, output: Any) -> tuple[Tensor, Tensor]:
    """Nats of each row's answer, and what they are told by: its tokens, or 1 among options."""
    if isinstance(content, OptionBatch):
        nats_B: Tensor = engine.module.cross_entropy_B  # type: ignore[assignment]
        return nats_B, torch.ones_like(nats_B)
    return output.loss_B.detach(), output.tokens_B


def with_ecgs_exchanged(content: Content) -> Content:
    """The same questions, each group with the ECGs of the next one about as many."""
    if isinstance(content, OptionBatch):
        batch = with_ecgs_exchanged(content.batch)
        assert isinstance(batch, Batch)
        return dataclasses.replace(content, batch=batch)
    index_GE = content.ecg_index_GE.clone()
    ecgs_G = (index_GE >= 0).sum(dim=1)
    for count in ecgs_G.unique().tolist():
        members = (ecgs_G == count).nonzero()[:, 0]
        index_GE[members] = content.ecg_index_GE[members.roll(-1)]
    return dataclasses.replace(content, ecg_index_GE=index_GE)
