"""Encoder pre-training: by labels, and by contrast with the reports.

Sources: Zhai et al. 2023 (sigmoid loss for language-image pre-training), Liu et al. 2024 (ECG and
report contrast, MERL).

Shape suffixes: N ECGs in the batch, C labels, S tokens of a report, D encoder width, F = 2 D
pooled width, E width of the space that ECGs and reports share.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from truelead.model.encoder.base import Encoder, pooled
from truelead.model.encoder.transformer import TransformerBlock

OBJECTIVES = ("labels", "contrastive", "labels+contrastive")


class ReportTower(nn.Module):
    """A small transformer that turns a report into one vector, the mean over its tokens.

    Args:
        vocabulary_size: of the tokenizer that wrote the reports' ids.
        width: of the tower.
        depth: transformer blocks.
        maximum_tokens: longest report.
    """

    def __init__(
        self, vocabulary_size: int, width: int = 128, depth: int = 2, maximum_tokens: int = 128
    ) -> None:
        super().__init__()
        self.maximum_tokens = maximum_tokens
        self.embedding = nn.Embedding(vocabulary_size, width)
        self.place_SD = nn.Parameter(0.02 * torch.randn(maximum_tokens, width))
        self.blocks = nn.ModuleList(TransformerBlock(width, 4, 0.1) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.embedding.weight, std=0.05)

    def forward(self, report_ids_NS: Tensor, report_mask_NS: Tensor) -> Tensor:
        """report_ND; the mask is True on real tokens, at least one a report."""
        ids_NS = report_ids_NS[:, : self.maximum_tokens]
        mask_NS = report_mask_NS[:, : self.maximum_tokens]
        x_NSD = self.embedding(ids_NS) + self.place_SD[: ids_NS.shape[1]]
        for block in self.blocks:
            x_NSD = block(x_NSD, mask_NS)
        weight_NS1 = mask_NS[:, :, None].to(x_NSD.dtype)
        total_ND = (self.norm(x_NSD) * weight_NS1).sum(dim=1)
        report_ND: Tensor = total_ND / weight_NS1.sum(dim=1).clamp_min(1)
        return report_ND


class EncoderPretrainingModel(nn.Module):
    """An encoder with a label head and a report tower, for its pre-training only.

    Args:
        encoder: trained in place; save it alone with `encoder.save(folder)`.
        n_labels: C.
        vocabulary_size: of the reports' tokenizer; None: no tower, "labels" only.
        width: E.
        contrastive_weight: of the contrastive loss beside the label loss.
    """

    def __init__(
        self,
        encoder: Encoder,
        n_labels: int,
        vocabulary_size: int | None = None,
        *,
        width: int = 128,
        contrastive_weight: float = 0.02,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.contrastive_weight = contrastive_weight
        self.label_head = nn.Linear(2 * encoder.width, n_labels)
        self.report_tower: ReportTower | None = None
        if vocabulary_size is not None:
            self.report_tower = ReportTower(vocabulary_size)
            self.report_projection = nn.Linear(128, width)
            self.ecg_projection = nn.Linear(2 * encoder.width, width)
            # Start values of Zhai et al. 2023, section 3.2.
            self.log_temperature = nn.Parameter(torch.tensor(math.log(10.0)))
            self.bias = nn.Parameter(torch.tensor(-10.0))

    def forward(
        self,
        ecg_NLT: Tensor,
        labels_NC: Tensor,
        label_weight_NC: Tensor | None = None,
        report_ids_NS: Tensor | None = None,
        report_mask_NS: Tensor | None = None,
        objective: str = "labels",
    ) -> dict[str, Tensor]:
        """Losses of one batch.

        Args:
            ecg_NLT: standardised ECGs.
            labels_NC: 1 where the label holds, else 0.
            label_weight_NC: weight of a label in the loss, 0 where it is not known; None: all 1.
            report_ids_NS, report_mask_NS: reports (`tokenizer.encode_reports`); needed by the
                contrastive objectives.
            objective: one of `OBJECTIVES`.

        Returns:
            `loss` (what is trained), `label_loss` and `contrastive_loss` as far as the objective
            has them, and `logits` [N, C].
        """
        assert objective in OBJECTIVES, objective
        ecg_NF = pooled(self.encoder(ecg_NLT))
        logits_NC = self.label_head(ecg_NF)
        result: dict[str, Tensor] = {"logits": logits_NC}
        parts: list[Tensor] = []
        if "labels" in objective:
            result["label_loss"] = weighted_binary_cross_entropy(
                logits_NC, labels_NC, label_weight_NC
            )
            parts.append(result["label_loss"])
        if "contrastive" in objective:
            assert self.report_tower is not None, "the contrastive objective needs a report tower"
            assert report_ids_NS is not None, "the contrastive objective needs reports"
            assert report_mask_NS is not None, "the contrastive objective needs reports"
            report_NE = self.report_projection(self.report_tower(report_ids_NS, report_mask_NS))
            result["contrastive_loss"] = sigmoid_contrast(
                self.ecg_projection(ecg_NF),
                report_NE,
                same_reports(report_ids_NS, report_mask_NS),
                self.log_temperature.exp(),
                self.bias,
            )
            weight = self.contrastive_weight if parts else 1.0
            parts.append(weight * result["contrastive_loss"])
        result["loss"] = torch.stack(parts).sum()
        return result


def weighted_binary_cross_entropy(
    logits_NC: Tensor, labels_NC: Tensor, label_weight_NC: Tensor | None
) -> Tensor:
    """Binary cross-entropy, the weighted mean over the labels; 0 where none has a weight."""
    loss_NC = functional.binary_cross_entropy_with_logits(
        logits_NC.float(), labels_NC.float(), reduction="none"
    )
    if label_weight_NC is None:
        return loss_NC.mean()
    weight_NC = label_weight_NC.to(loss_NC.dtype)
    return (loss_NC * weight_NC).sum() / weight_NC.sum().clamp_min(1e-6)


def same_reports(report_ids_NS: Tensor, report_mask_NS: Tensor) -> Tensor:
    """bool [N, N]: which ECGs have word for word the same report.

    Many ECGs share "sinus rhythm. normal ecg."; calling such pairs negative would be false.
    """
    words_NS = torch.where(report_mask_NS, report_ids_NS, -1)
    return (words_NS[:, None] == words_NS[None]).all(dim=-1)


def sigmoid_contrast(
    ecg_NE: Tensor, report_NE: Tensor, match_NN: Tensor, temperature: Tensor, bias: Tensor
) -> Tensor:
    """Pairwise sigmoid loss (Zhai et al. 2023): every ECG-report pair is a yes/no question.

    Args:
        ecg_NE, report_NE: normalised here.
        match_NN: True where the ECG of the row fits the report of the column.
        temperature, bias: scale and offset of the cosine.

    Returns:
        The loss summed over the reports, its mean over the ECGs.
    """
    cosine_NN = functional.normalize(ecg_NE.float(), dim=-1) @ functional.normalize(
        report_NE.float(), dim=-1
    ).transpose(0, 1)
    sign_NN = torch.where(match_NN, 1.0, -1.0)
    logits_NN = cosine_NN * temperature + bias
    return -functional.logsigmoid(sign_NN * logits_NN).sum(dim=1).mean()
