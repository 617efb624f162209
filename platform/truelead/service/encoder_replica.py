"""The ECG encoder as a deployment of its own: ECGs in, features out.

For machines where encoder and language model want different hardware, or are needed in different
numbers. The features go from here to the replica of the language model, through the ingress where
calls go straight, and through Ray's object store where they do not.

Shape suffixes: N ECGs in the batch, P patches, D encoder width.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from truelead.model.answering import Answerer
from truelead.service.batcher import BatchBounds, Batcher
from truelead.service.ecg_reading import EcgReading
from truelead.types import Ecg


class EncoderReplica:
    """An encoder in memory.

    Args:
        folder: of the model whose encoder it is.
        threads: that one batch may use.
        batch_size: ECGs of one batch, at most.

    Raises:
        ModelError: the folder holds no whole model.
    """

    def __init__(self, folder: str, *, threads: int = 1, batch_size: int = 16) -> None:
        torch.set_num_threads(threads)
        answerer = Answerer.from_pretrained(
            Path(folder), "cuda" if torch.cuda.is_available() else None
        )
        # The language model is another deployment's.
        answerer.model.language_model = torch.nn.Identity()
        self._reading = EcgReading(answerer, 0, 0)
        self._lock = threading.Lock()
        bounds = BatchBounds(size=batch_size, wait_seconds=0.0)
        self._batcher: Batcher[Ecg, NDArray[np.float32]] = Batcher(self._encode_batch, bounds)

    def encode_all(self, ecgs: Sequence[Ecg]) -> NDArray[np.float32]:
        """features_NPD of the ECGs."""
        with self._lock:
            return self._reading.encode(ecgs)

    async def _encode_batch(self, ecgs: Sequence[Ecg]) -> list[NDArray[np.float32]]:
        return list(await asyncio.to_thread(self.encode_all, ecgs))

    async def encode(self, ecgs: Sequence[Ecg]) -> NDArray[np.float32]:
        """features_NPD of the ECGs of one call, encoded with those of other calls."""
        return np.stack(await asyncio.gather(*map(self._batcher, ecgs)))
