"""Put ECG tokens where the text holds their placeholders.

A silently missing or doubled ECG is the very fault that this project exists to find in models, so
any disagreement between text and ECGs is an error.

Shape suffixes: B sequences, S tokens of text, N ECGs in the batch, K tokens an ECG, H LLM width,
E ECG slots of a sequence (2).
"""

from __future__ import annotations

from torch import Tensor

from truelead.errors import SpliceError


def splice(
    embeds_BSH: Tensor,
    input_ids_BS: Tensor,
    tokens_NKH: Tensor,
    ecg_index_BE: Tensor,
    ecg_token_id: int,
) -> Tensor:
    """embeds_BSH with the ECG tokens in place of the placeholders' embeddings.

    Args:
        embeds_BSH: embeddings of the text.
        input_ids_BS: its token ids; `ecg_token_id` is the placeholder.
        tokens_NKH: projected ECGs.
        ecg_index_BE: which ECGs a sequence holds, in order; -1 is an empty slot.
        ecg_token_id: id of the placeholder.

    Raises:
        SpliceError: a sequence does not hold K placeholders for each of its ECGs, or names an ECG
            that is not in the batch.
    """
    N, K, _ = tokens_NKH.shape
    placeholders_BS = input_ids_BS == ecg_token_id
    filled_BE = ecg_index_BE >= 0
    found_B, expected_B = placeholders_BS.sum(dim=1), filled_BE.sum(dim=1) * K
    wrong_B = found_B != expected_B
    if bool(wrong_B.any()):
        row = int(wrong_B.nonzero()[0])
        raise SpliceError(
            f"sequence {row}: expected {int(expected_B[row])} ECG placeholders "
            f"({int(filled_BE[row].sum())} ECGs of {K} tokens), found {int(found_B[row])}"
        )
    highest = int(ecg_index_BE.max()) if ecg_index_BE.numel() else -1
    if highest >= N:
        raise SpliceError(f"expected ECG indices below {N}, the batch's ECGs, found {highest}")
    # Boolean selection and masked_scatter both go row by row, so the order is that of the text.
    chosen = tokens_NKH[ecg_index_BE[filled_BE]].to(embeds_BSH.dtype)
    return embeds_BSH.masked_scatter(placeholders_BS[:, :, None], chosen)
