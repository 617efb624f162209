"""ECGs to what questions stand behind: encoded once and read once, by content.

Shape suffixes: N ECGs in the batch, P patches, D encoder width, L leads (12), T samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from truelead.model.answering import Answerer
from truelead.model.prefix import ReadPrefix
from truelead.service.exchange import EcgKey, NamedEcg
from truelead.service.feature_cache import FeatureCache, PrefixCache, PrefixKey, ecg_key
from truelead.types import Ecg


class EcgReading:
    """The encoder's features and the read prefixes of the ECGs that were asked about last.

    Args:
        answerer: the model; one thread at a time.
        feature_bytes: of the features that are kept.
        prefix_bytes: of the read prefixes that are kept.
    """

    def __init__(self, answerer: Answerer, feature_bytes: int, prefix_bytes: int) -> None:
        self.answerer = answerer
        self.encoded = FeatureCache(feature_bytes)
        self.prefixes = PrefixCache(prefix_bytes)
        self._blind: ReadPrefix | None = None

    def learn(self, keys: Sequence[EcgKey], features_NPD: NDArray[np.float32]) -> None:
        """Keep features that another process has computed with this model's encoder."""
        for key, features_PD in zip(keys, features_NPD, strict=True):
            # A copy: what came through shared memory would be held there as a whole.
            self.encoded.put(key, features_PD.copy())

    def clear(self) -> None:
        """Forget all ECGs."""
        self.encoded.clear()
        self.prefixes.clear()

    def is_missing(self, key: PrefixKey, ecgs: Mapping[EcgKey, Ecg | NamedEcg]) -> bool:
        """Whether an ECG was not sent that must be, or was sent as another model sees it."""
        if key in self.prefixes:
            return False
        rate = self.answerer.processor.feature_extractor.sampling_rate
        for one in key:
            ecg = ecgs[one]
            if one in self.encoded or isinstance(ecg, Ecg):
                continue
            if ecg.ecg is None or (ecg.fitted and ecg.ecg.sampling_rate != rate):
                return True
        return False

    def behind(
        self,
        shown: Mapping[tuple[int, ...], PrefixKey],
        ecgs: Mapping[EcgKey, Ecg | NamedEcg],
    ) -> tuple[dict[str, Any], set[EcgKey]]:
        """What the groups point to, as the answerer takes it, and the ECGs that were encoded.

        Args:
            shown: places of the ECGs of each group, and their keys.
        """
        prefixes: dict[tuple[int, ...], ReadPrefix] = {}
        if self.answerer.keeps_prefixes:
            for places, key in shown.items():
                prefix = self.prefixes.get(key)
                if prefix is not None:
                    prefixes[places] = prefix
        unread = [places for places in shown if places not in prefixes]
        wanted = dict.fromkeys(
            (place, key) for one in unread for place, key in zip(one, shown[one], strict=True)
        )
        features_NPD, encoded = self.features({key: ecgs[key] for _, key in wanted})
        row = {place: at for at, (place, _) in enumerate(wanted)}
        if not self.answerer.keeps_prefixes:
            by_place_NPD = features_NPD[[row[place] for place in range(len(row))]]
            return {"features": by_place_NPD}, encoded
        rows = {places: tuple(row[place] for place in places) for places in unread}
        read = self.answerer.read_prefixes([*rows.values()], features_NPD) if rows else {}
        for places, of_rows in rows.items():
            prefixes[places] = read[of_rows]
            self.prefixes.put(shown[places], read[of_rows])
        # Some answer rules also ask the question without any ECG.
        prefixes[()] = self._blind_prefix()
        return {"prefixes": prefixes}, encoded

    def _blind_prefix(self) -> ReadPrefix:
        if self._blind is None:
            model = self.answerer.model
            shape = (1, model.encoder.tokens(model.encoder.samples), model.encoder.width)
            self._blind = self.answerer.read_prefixes([()], np.zeros(shape, np.float32))[()]
        return self._blind

    def features(
        self, ecgs: Mapping[EcgKey, Ecg | NamedEcg]
    ) -> tuple[NDArray[np.float32], set[EcgKey]]:
        """features_NPD of the ECGs in order, and which of them had to be encoded."""
        rows = {key: self.encoded.get(key) for key in ecgs}
        missing = [key for key, features_PD in rows.items() if features_PD is None]
        if missing:
            encoded_NPD = self.encode([whole_ecg(ecgs[key]) for key in missing])
            for key, features_PD in zip(missing, encoded_NPD, strict=True):
                rows[key] = features_PD
                self.encoded.put(key, features_PD.copy())
        found = [features_PD for features_PD in rows.values() if features_PD is not None]
        stacked: NDArray[np.float32] = np.stack(found) if found else np.zeros((0, 0, 0), np.float32)
        return stacked, set(missing)

    @torch.inference_mode()
    def encode(self, ecgs: Sequence[Ecg]) -> NDArray[np.float32]:
        """features_NPD of ECGs, whether or not they are kept."""
        model = self.answerer.model
        ecg_NLT = np.stack([self.answerer.processor.standardise(ecg) for ecg in ecgs])
        features_NPD = model.encode(torch.from_numpy(ecg_NLT).to(model.device))
        encoded: NDArray[np.float32] = features_NPD.float().cpu().numpy()
        return encoded


def whole_ecg(ecg: Ecg | NamedEcg) -> Ecg:
    """The ECG with its samples."""
    found = ecg.ecg if isinstance(ecg, NamedEcg) else ecg
    assert found is not None, "what was not sent is asked for before it is read"
    return found


def key_of(ecg: Ecg | NamedEcg) -> EcgKey:
    """What names an ECG by its content."""
    return ecg.key if isinstance(ecg, NamedEcg) else ecg_key(ecg)
