"""What holds for every encoder that is listed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from truelead.config import EncoderConfig
from truelead.errors import ModelError
from truelead.model.encoder import ENCODERS, build_encoder, load_encoder, parameter_count

every_encoder = pytest.mark.parametrize("name", sorted(ENCODERS))


@every_encoder
@pytest.mark.parametrize("samples", [1000, 500, 37])
def test_shapes(name: str, samples: int) -> None:
    encoder = build_encoder(EncoderConfig(name=name), samples).eval()
    with torch.no_grad():
        features = encoder(torch.randn(2, 12, samples))
    assert features.shape == (2, encoder.tokens(samples), encoder.width)
    assert torch.isfinite(features).all()


@every_encoder
def test_every_lead_and_second_reaches_the_features(name: str) -> None:
    encoder = build_encoder(EncoderConfig(name=name), 1000).eval()
    ecg = torch.randn(1, 12, 1000, requires_grad=True)
    encoder(ecg).square().sum().backward()
    assert ecg.grad is not None
    assert (ecg.grad.abs().amax(dim=2) > 0).all()
    assert (ecg.grad.abs().amax(dim=1).view(10, 100).amax(dim=1) > 0).all()


@every_encoder
def test_every_parameter_learns(name: str) -> None:
    encoder = build_encoder(EncoderConfig(name=name), 1000).train()
    encoder(torch.randn(4, 12, 1000)).square().mean(dim=1).sum().backward()
    for parameter_name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name


@every_encoder
def test_an_ecg_does_not_depend_on_its_batch(name: str) -> None:
    encoder = build_encoder(EncoderConfig(name=name), 1000).eval()
    ecg_NLT = torch.randn(5, 12, 1000)
    with torch.no_grad():
        together, alone = encoder(ecg_NLT), encoder(ecg_NLT[3:4])
        backwards = encoder(ecg_NLT.flip(0))
    torch.testing.assert_close(together[3:4], alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.flip(0), backwards, rtol=1e-4, atol=1e-5)


@every_encoder
def test_flat_ecg_is_finite(name: str) -> None:
    encoder = build_encoder(EncoderConfig(name=name), 1000).eval()
    with torch.no_grad():
        assert torch.isfinite(encoder(torch.zeros(1, 12, 1000))).all()


@every_encoder
def test_save_and_load(name: str, tmp_path: Path) -> None:
    encoder = build_encoder(EncoderConfig(name=name, options={"width": 32}), 1000)
    encoder.train()(torch.randn(4, 12, 1000))  # batch statistics that differ from the first ones
    encoder.eval().save(tmp_path / "encoder")
    loaded = load_encoder(tmp_path / "encoder")
    assert (loaded.name, loaded.options, loaded.width) == (name, encoder.options, 32)
    ecg_NLT = torch.randn(2, 12, 1000)
    with torch.no_grad():
        assert torch.equal(encoder(ecg_NLT), loaded(ecg_NLT))


def test_default_resnet_is_small() -> None:
    encoder = build_encoder(EncoderConfig(), 1000)
    assert encoder.tokens(1000) == 63
    assert 350_000 < parameter_count(encoder) < 450_000


def test_wrong_names_are_named() -> None:
    with pytest.raises(ModelError, match="expected one of resnet1d, vit1d, found 'vgg'"):
        build_encoder(EncoderConfig(name="vgg"), 1000)
    with pytest.raises(ModelError, match=r"encoder\.options: .*'depth'"):
        build_encoder(EncoderConfig(options={"depth": 3}), 1000)


def test_damaged_folders(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"encoder\.json, found none"):
        load_encoder(tmp_path)
    build_encoder(EncoderConfig(options={"width": 16}), 1000).save(tmp_path)
    description = json.loads((tmp_path / "encoder.json").read_text())
    for change, expected in (
        ({"format": 99}, "format: expected 1, found 99"),
        ({"options": {"width": 32}}, "expected weights of resnet1d"),
    ):
        (tmp_path / "encoder.json").write_text(json.dumps(description | change))
        with pytest.raises(ModelError, match=expected):
            load_encoder(tmp_path)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_takes_bfloat16_with_statistics_in_float32(training: bool) -> None:
    from truelead.model.encoder.batch_norm import BatchNorm1d

    whole, mixed = BatchNorm1d(4).train(training), BatchNorm1d(4).train(training)
    mixed.to(torch.bfloat16)
    mixed.running_mean, mixed.running_var = torch.zeros(4), torch.ones(4)
    x_NCT = torch.randn(8, 4, 50, generator=torch.Generator().manual_seed(0)) * 3 + 1
    expected, found = whole(x_NCT), mixed(x_NCT.bfloat16())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=0.02, atol=0.02)
    assert mixed.running_mean.dtype == torch.float32
    torch.testing.assert_close(mixed.running_mean, whole.running_mean, rtol=0.01, atol=0.01)
    assert int(mixed.num_batches_tracked) == int(training)
