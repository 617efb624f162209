from __future__ import annotations

import pytest
import torch

from truelead.errors import SpliceError
from truelead.model.splice import splice

ECG = 3


def tokens() -> torch.Tensor:
    return torch.arange(12.0).view(3, 2, 2) + 100  # 3 ECGs of 2 tokens of width 2


def test_tokens_go_where_the_placeholders_are() -> None:
    ids = torch.tensor([[1, ECG, ECG, 2, ECG, ECG], [ECG, ECG, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]])
    index = torch.tensor([[2, 0], [1, -1], [-1, -1]])
    result = splice(torch.zeros(3, 6, 2), ids, tokens(), index, ECG)
    assert torch.equal(result[0, 1:3], tokens()[2])
    assert torch.equal(result[0, 4:6], tokens()[0])
    assert torch.equal(result[1, :2], tokens()[1])
    assert result[ids != ECG].abs().max() == 0


def test_gradient_reaches_exactly_the_ecgs_that_are_read() -> None:
    ecg = tokens().requires_grad_()
    ids = torch.tensor([[ECG, ECG], [ECG, ECG]])
    splice(torch.zeros(2, 2, 2), ids, ecg, torch.tensor([[1], [1]]), ECG).sum().backward()
    assert ecg.grad is not None
    assert ecg.grad[:, 0, 0].tolist() == [0, 2, 0]


@pytest.mark.parametrize(
    ("ids", "index"),
    [
        ([[ECG, 1, 1]], [[0, -1]]),  # one placeholder too few
        ([[ECG, ECG, ECG]], [[0, -1]]),  # one too many
        ([[ECG, ECG, 1]], [[-1, -1]]),  # placeholders without an ECG
        ([[1, 1, 1]], [[0, -1]]),  # an ECG that the text does not hold
    ],
)
def test_disagreement_is_an_error(ids: list[list[int]], index: list[list[int]]) -> None:
    with pytest.raises(SpliceError, match=r"sequence 0: expected \d ECG placeholders"):
        splice(torch.zeros(1, 3, 2), torch.tensor(ids), tokens(), torch.tensor(index), ECG)


def test_equal_totals_do_not_hide_a_swap_between_rows() -> None:
    ids = torch.tensor([[ECG, ECG, ECG, ECG], [1, 1, 1, 1]])
    with pytest.raises(SpliceError):
        splice(torch.zeros(2, 4, 2), ids, tokens(), torch.tensor([[0], [1]]), ECG)


def test_an_ecg_that_is_not_there() -> None:
    with pytest.raises(SpliceError, match="below 3"):
        splice(torch.zeros(1, 2, 2), torch.tensor([[ECG, ECG]]), tokens(), torch.tensor([[3]]), ECG)
