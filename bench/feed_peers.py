"""The same epoch fed by other libraries: each with its own store of the same records.

Every peer gives the tensors that TrueLead's feed gives, and is helped where it can be: its store is
written in the order of the epoch, so that it reads straight on; its two workers live on between
epochs; standardising and packing are TrueLead's own functions; the questions lie in memory.
What is the peer's own is reading records, handing them to the trainer, and tokenising, either in
one batched call of the tokenizer as is usual, or (`remembered`) with TrueLead's processor, which
remembers token ids.

Shape suffixes: N ECGs, L leads (12), T samples.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import wfdb
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from truelead.data.schema import MICROVOLTS_PER_MILLIVOLT, decode_signals
from truelead.model.batch import IGNORED_LABEL, Batch
from truelead.model.packing import pack
from truelead.model.processing import GroupInput, TrueLeadProcessor, row_name
from truelead.types import LEADS, Question

WORKERS = 2
SAMPLES_A_SHARD = 128
SAMPLING_RATE = 100.0

Sample = tuple[str, NDArray[Any]]


@dataclass(frozen=True)
class Epoch:
    """What an epoch goes through, the same for all.

    Attributes:
        names: record ids in the order of the epoch.
        paths: record id -> WFDB path.
        questions: record id -> the questions drawn for it.
        batch: ECGs a batch.
        bound: tokens of a packed sequence.
    """

    names: Sequence[str]
    paths: dict[str, Path]
    questions: dict[str, tuple[Question, ...]]
    batch: int
    bound: int


class Collator:
    """Samples in, the tensors of a step out."""

    def __init__(self, epoch: Epoch, processor: TrueLeadProcessor, *, remembered: bool) -> None:
        self.epoch, self.processor, self.remembered = epoch, processor, remembered

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """int16 microvolts or float32 millivolts of some ECGs, by name."""
        signal_NLT = np.stack([signal for _, signal in samples])
        if signal_NLT.dtype == np.int16:
            signal_NLT = decode_signals(signal_NLT)
        ecg_NLT = self.processor.feature_extractor.standardise_all(signal_NLT, SAMPLING_RATE)
        asked = [self.epoch.questions[name] for name, _ in samples]
        if self.remembered:
            groups = [GroupInput((at,), questions) for at, questions in enumerate(asked)]
            batch = self.processor.batch(groups, ecgs=ecg_NLT)
        else:
            batch = self._tokenised(ecg_NLT, asked)
        return pack(batch, self.epoch.bound)

    def _tokenised(
        self, ecg_NLT: NDArray[np.float32], asked: Sequence[Sequence[Question]]
    ) -> Batch:
        questions = [question for group in asked for question in group]
        tokenizer: Any = self.processor.tokenizer
        texts = [q.text.strip() for q in questions] + [q.answer_text for q in questions]
        ids = tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        parts = self.processor.prompts.parts(1)
        end = int(tokenizer.eos_token_id)
        rows, answers = [], []
        for text, answer in zip(ids[: len(questions)], ids[len(questions) :], strict=True):
            rows.append([*text, *parts.suffix, *answer, end])
            answers.append(len(answer) + 1)
        input_ids_BS, mask_BS = self.processor.pad(rows)
        prefix_ids_GP, prefix_mask_GP = self.processor.pad([parts.prefix] * len(asked))
        length_B, answer_B = mask_BS.sum(dim=1), torch.tensor(answers)
        place_S = torch.arange(mask_BS.shape[1])
        is_answer = mask_BS & (place_S >= (length_B - answer_B)[:, None])
        index_GE = torch.full((len(asked), 2), -1)
        index_GE[:, 0] = torch.arange(len(asked))
        group_B = [at for at, group in enumerate(asked) for _ in group]
        return Batch(
            ecg_index_GE=index_GE,
            prefix_ids_GP=prefix_ids_GP,
            prefix_mask_GP=prefix_mask_GP,
            group_B=torch.tensor(group_B),
            input_ids_BS=input_ids_BS,
            mask_BS=mask_BS,
            labels_BS=torch.where(is_answer, input_ids_BS, IGNORED_LABEL),
            stratum_B=torch.tensor([question.severity for question in questions]),
            told_stratum_B=torch.full((len(questions),), -1),
            weight_B=torch.ones(len(questions)),
            uid_B=[row_name(question) for question in questions],
            ecg_NLT=torch.from_numpy(ecg_NLT),
        )


class WfdbRecords(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Records as PhysioNet ships them, parsed by the wfdb package each time."""

    def __init__(self, epoch: Epoch) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.epoch.names)

    def __getitem__(self, index: int) -> Sample:
        name = self.epoch.names[index]
        record = wfdb.rdrecord(str(self.epoch.paths[name]))
        return name, np.ascontiguousarray(record.p_signal.T, dtype=np.float32)


class HuggingFaceRecords(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Rows of a memory-mapped Arrow table; a batch is fetched in one call."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> list[Sample]:
        found = self.rows[indices]
        return [
            (name, np.frombuffer(signal, dtype="<i2").reshape(len(LEADS), -1))
            for name, signal in zip(found["record_id"], found["signal"], strict=True)
        ]


def _loader(dataset: Any, epoch: Epoch, collate: Collator) -> Any:
    return DataLoader(
        dataset,
        batch_size=epoch.batch,
        num_workers=WORKERS,
        collate_fn=collate,
        persistent_workers=True,
        drop_last=True,
    )


def torch_wfdb(epoch: Epoch, signals: NDArray[np.int16], folder: Path, collate: Collator) -> Any:
    """torch's DataLoader over WFDB files."""
    return _loader(WfdbRecords(epoch), epoch, collate)


def hugging_face(epoch: Epoch, signals: NDArray[np.int16], folder: Path, collate: Collator) -> Any:
    """A `datasets` table of binary signals, behind torch's DataLoader."""
    import datasets

    table = datasets.Dataset.from_dict(
        {"record_id": list(epoch.names), "signal": [signal.tobytes() for signal in signals]}
    )
    table.save_to_disk(str(folder / "table"))
    rows = datasets.load_from_disk(str(folder / "table"))
    return _loader(HuggingFaceRecords(rows), epoch, collate)


def web_dataset(epoch: Epoch, signals: NDArray[np.int16], folder: Path, collate: Collator) -> Any:
    """Tar shards of raw int16."""
    import webdataset

    pattern = str(folder / "shard-%04d.tar")
    with webdataset.ShardWriter(pattern, maxcount=SAMPLES_A_SHARD, verbose=0) as writer:
        for name, signal in zip(epoch.names, signals, strict=True):
            writer.write({"__key__": name, "signal.bin": signal.tobytes()})
    shards = sorted(str(path) for path in folder.glob("*.tar"))
    rows = (
        webdataset.WebDataset(shards, shardshuffle=False)
        .map(_web_sample)
        .batched(epoch.batch, collation_fn=collate, partial=False)
    )
    return webdataset.WebLoader(rows, batch_size=None, num_workers=WORKERS, persistent_workers=True)


def _web_sample(sample: dict[str, Any]) -> Sample:
    signal = np.frombuffer(sample["signal.bin"], dtype="<i2").reshape(len(LEADS), -1)
    return sample["__key__"], signal


def lit_data(epoch: Epoch, signals: NDArray[np.int16], folder: Path, collate: Collator) -> Any:
    """Binary chunks, streamed."""
    from litdata import StreamingDataLoader, StreamingDataset
    from litdata.streaming.cache import Cache

    cache = Cache(str(folder / "chunks"), chunk_bytes="4MB")
    for at, (name, signal) in enumerate(zip(epoch.names, signals, strict=True)):
        cache[at] = {"record_id": name, "signal": signal}
    cache.done()
    cache.merge()
    return StreamingDataLoader(
        StreamingDataset(str(folder / "chunks"), shuffle=False, drop_last=True),
        batch_size=epoch.batch,
        num_workers=WORKERS,
        collate_fn=_LitCollator(collate),
        persistent_workers=True,
        drop_last=True,
    )


class _LitCollator:
    """Names and arrays out of LitData's rows."""

    def __init__(self, collate: Collator) -> None:
        self.collate = collate

    def __call__(self, rows: Sequence[dict[str, Any]]) -> Batch:
        return self.collate([(row["record_id"], np.asarray(row["signal"])) for row in rows])


PEERS: dict[str, Callable[[Epoch, NDArray[np.int16], Path, Collator], Any]] = {
    "torch DataLoader + wfdb": torch_wfdb,
    "Hugging Face datasets": hugging_face,
    "WebDataset": web_dataset,
    "LitData": lit_data,
}


def build_peers(
    epoch: Epoch, signals: NDArray[np.float32], processor: TrueLeadProcessor, folder: Path
) -> Iterator[tuple[str, Any]]:
    """Each peer's name and its loader, in both ways of tokenising.

    Args:
        signals: mV of the epoch's ECGs in its order.
    """
    stored_NLT = np.rint(signals * MICROVOLTS_PER_MILLIVOLT).astype(np.int16)
    for name, build in PEERS.items():
        for remembered in (False, True):
            place = Path(tempfile.mkdtemp(dir=folder))
            collate = Collator(epoch, processor, remembered=remembered)
            own = ", TrueLead's processor" if remembered else ""
            yield name + own, build(epoch, stored_NLT, place, collate)
