"""What holds for every projector that is listed."""

from __future__ import annotations

import pytest
import torch

from truelead.errors import ModelError
from truelead.model.projector import PROJECTORS, make_projector, pool_patches

every_projector = pytest.mark.parametrize("name", sorted(PROJECTORS))


@every_projector
@pytest.mark.parametrize("patches", [63, 7, 240])
def test_shapes_and_gradient(name: str, patches: int) -> None:
    projector = make_projector(name, {"tokens": 9}, 24, 40)
    features = torch.randn(3, patches, 24, requires_grad=True)
    tokens = projector(features)
    assert tokens.shape == (3, projector.tokens, 40) == (3, 9, 40)
    assert torch.isfinite(tokens).all()
    (tokens * torch.randn_like(tokens)).sum().backward()
    assert features.grad is not None
    assert (features.grad.abs().amax(dim=2) > 0).all()
    for parameter_name, parameter in projector.named_parameters():
        assert parameter.grad is not None, parameter_name


@every_projector
def test_batch_invariance_and_no_nan_on_zeros(name: str) -> None:
    projector = make_projector(name, {}, 24, 40).eval()
    features = torch.randn(4, 63, 24)
    with torch.no_grad():
        torch.testing.assert_close(
            projector(features)[2:3], projector(features[2:3]), rtol=1e-4, atol=1e-6
        )
        assert torch.isfinite(projector(torch.zeros(1, 63, 24))).all()


@every_projector
def test_tokens_tell_where_something_is(name: str) -> None:
    """Not a bag of patches: an ECG read backwards gives other tokens."""
    projector = make_projector(name, {"tokens": 8}, 24, 40).eval()
    features = torch.randn(1, 64, 24)
    with torch.no_grad():
        assert (projector(features) - projector(features.flip(1))).abs().max() > 1e-2


@every_projector
def test_tokens_have_the_scale_of_words(name: str) -> None:
    projector = make_projector(name, {}, 24, 40)
    words = torch.nn.Embedding(50, 40)
    torch.nn.init.normal_(words.weight, std=0.02)
    projector.match_scale(words)
    scale = projector(torch.randn(2, 63, 24)).detach().square().mean().sqrt()
    assert float(scale) == pytest.approx(0.02, rel=0.1)


@every_projector
def test_noise_is_for_training_alone(name: str) -> None:
    projector = make_projector(name, {"noise": 0.5}, 24, 40)
    features = torch.randn(2, 63, 24)
    with torch.no_grad():
        assert (projector(features) - projector(features)).abs().max() > 1e-3
        assert torch.isfinite(projector(torch.zeros(1, 1, 24))).all()
        projector.eval()
        torch.testing.assert_close(projector(features), projector(features))
    with pytest.raises(ModelError, match="noise"):
        make_projector(name, {"noise": -1}, 24, 40)


def test_pooling_averages_adjacent_patches() -> None:
    features = torch.arange(12.0).view(1, 6, 2)
    assert pool_patches(features, 3)[0, :, 0].tolist() == [1, 5, 9]
    assert pool_patches(features, 6) is features


def test_wrong_names_are_named() -> None:
    with pytest.raises(ModelError, match="expected one of linear, mlp, perceiver"):
        make_projector("qformer", {}, 8, 8)
    with pytest.raises(ModelError, match=r"projector\.options: .*'depth'"):
        make_projector("linear", {"depth": 2}, 8, 8)
    with pytest.raises(ModelError, match="divisor of 10"):
        make_projector("perceiver", {}, 8, 10)
