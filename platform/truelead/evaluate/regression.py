"""Logistic regression on standardised features, several outputs at once, by L-BFGS.

The penalty is the ridge, half its strength times the sum of squared weights, on the mean loss; the
intercept is free. The problem is convex, so the result does not depend on where it starts.

Shape suffixes: N rows, F features, K outputs.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]

_ITERATIONS = 200


class LogisticRegression:
    """Maximum a posteriori weights of K outputs.

    Args:
        features_NF: any scale; each column is standardised by its own mean and deviation.
        targets_NK: share of each output, from 0 to 1. For "each" the outputs are yes/no questions
            apart from each other; for "one" they exclude each other and rows sum to 1.
        weights_N: how often a row counts; 1 each if None.
        strength: of the ridge penalty.
    """

    def __init__(
        self,
        features_NF: NDArray[np.floating],
        targets_NK: NDArray[np.floating],
        *,
        outputs: Literal["each", "one"],
        weights_N: NDArray[np.floating] | None = None,
        strength: float = 3e-2,
    ) -> None:
        features_NF = np.asarray(features_NF, np.float64)
        self._outputs = outputs
        self._mean_F = features_NF.mean(0)
        deviation_F = features_NF.std(0)
        self._scale_F = np.where(deviation_F > 1e-9, deviation_F, 1.0)
        x_NF = torch.from_numpy((features_NF - self._mean_F) / self._scale_F)
        y_NK = torch.from_numpy(np.asarray(targets_NK, np.float64))
        weight_N = torch.ones(len(x_NF), dtype=torch.float64)
        if weights_N is not None:
            weight_N = torch.from_numpy(np.asarray(weights_N, np.float64))
        weight_N = weight_N / weight_N.sum()
        weight_FK = torch.zeros(x_NF.shape[1], y_NK.shape[1], dtype=torch.float64)
        bias_K = torch.zeros(y_NK.shape[1], dtype=torch.float64)
        parameters = [weight_FK.requires_grad_(), bias_K.requires_grad_()]
        optimizer = torch.optim.LBFGS(
            parameters, max_iter=_ITERATIONS, tolerance_change=1e-9, line_search_fn="strong_wolfe"
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            logits_NK = x_NF @ weight_FK + bias_K
            loss = (weight_N * self._loss(logits_NK, y_NK)).sum()
            loss = loss + strength / 2 * weight_FK.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        self._weight_FK: Floats = weight_FK.detach().numpy()
        self._bias_K: Floats = bias_K.detach().numpy()

    @property
    def width(self) -> int:
        """F, the number of features."""
        return len(self._mean_F)

    def probabilities(self, features_NF: NDArray[np.floating]) -> Floats:
        """float64 [N, K]. A row of NaN counts as the mean of the fitted rows: nothing is known."""
        x_NF = (np.asarray(features_NF, np.float64) - self._mean_F) / self._scale_F
        logits_NK = np.nan_to_num(x_NF) @ self._weight_FK + self._bias_K
        if self._outputs == "each":
            return 1.0 / (1.0 + np.exp(-np.clip(logits_NK, -50, 50)))
        exponential_NK = np.exp(logits_NK - logits_NK.max(1, keepdims=True))
        shares_NK: Floats = exponential_NK / exponential_NK.sum(1, keepdims=True)
        return shares_NK

    def _loss(self, logits_NK: Tensor, y_NK: Tensor) -> Tensor:
        if self._outputs == "each":
            losses_NK = torch.nn.functional.binary_cross_entropy_with_logits(
                logits_NK, y_NK, reduction="none"
            )
            return losses_NK.sum(1)
        return -(y_NK * torch.log_softmax(logits_NK, dim=1)).sum(1)
