from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoProcessor

from truelead.errors import ModelError, SpliceError
from truelead.model import TrueLeadConfig, TrueLeadForConditionalGeneration, TrueLeadProcessor
from truelead.model.build import build_model, load_model, save_model
from truelead.model.processing import GroupInput
from truelead.types import Ecg

Built = tuple[Any, TrueLeadProcessor]


def prompts(processor: TrueLeadProcessor, ecgs: list[Ecg]) -> Any:
    return processor(
        ["Which leads show noise?", "What changed between the two ECGs?", "Any infarction?"],
        [[ecgs[0]], [ecgs[1], ecgs[2]], []],
    )


@pytest.mark.parametrize("projector", ["linear", "mlp", "perceiver"])
@pytest.mark.parametrize("encoder", ["resnet1d", "vit1d"])
def test_save_and_load_through_the_hubs_classes(
    encoder: str, projector: str, tmp_path: Path, ecgs: list[Ecg], recipe: Any, corpus: Any
) -> None:
    options = {"width": 16, "heads": 2} if encoder == "vit1d" else {"width": 16}
    wanted = recipe(
        encoder={"name": encoder, "options": options},
        projector={"name": projector, "options": {"tokens": 4}},
    )
    model, processor = build_model(wanted, None, corpus)
    save_model(tmp_path, model, processor)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".safetensors", ".jinja"}
    inputs = prompts(processor, ecgs)
    with torch.no_grad():
        expected = model.eval()(**inputs).logits
        for kind in (AutoModel, AutoModelForCausalLM):
            loaded = kind.from_pretrained(tmp_path).eval()
            assert isinstance(loaded, TrueLeadForConditionalGeneration)
            assert torch.equal(loaded(**inputs).logits, expected)
        loaded, loaded_processor = load_model(tmp_path)
        assert torch.equal(loaded(**inputs).logits, expected)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), TrueLeadConfig)
    assert not loaded.training
    for other in (AutoProcessor.from_pretrained(tmp_path), loaded_processor):
        again = prompts(other, ecgs)
        assert all(torch.equal(again[name], inputs[name]) for name in inputs)


def test_tied_embeddings_survive(tmp_path: Path, built: Built, ecgs: list[Ecg]) -> None:
    from transformers import LlamaForCausalLM

    model, processor = built
    text_config = model.config.text_config
    text_config.tie_word_embeddings = True
    tied = LlamaForCausalLM(text_config)
    from truelead.model.modeling import compose

    config = TrueLeadConfig(
        text_config=text_config,
        encoder_options={"width": 16},
        projector_options={"tokens": 5},
        ecg_token_id=model.config.ecg_token_id,
    )
    composed = compose(config, None, tied).eval()
    save_model(tmp_path, composed, processor)
    loaded, _ = load_model(tmp_path)
    assert loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight
    inputs = prompts(processor, ecgs)
    with torch.no_grad():
        assert torch.equal(loaded(**inputs).logits, composed(**inputs).logits)


def test_generation_is_the_argmax_of_forward(built: Built, ecgs: list[Ecg]) -> None:
    model, processor = built
    inputs = prompts(processor, ecgs)
    arguments = {"max_new_tokens": 6, "do_sample": False}
    written = model.generate(**inputs, **arguments)
    assert torch.equal(written, model.generate(**inputs, **arguments))
    assert torch.equal(written, model.generate(**inputs, **arguments, use_cache=False))
    start = inputs["input_ids"].shape[1]
    eos = processor.tokenizer.eos_token_id
    with torch.no_grad():
        mask = torch.cat([inputs["attention_mask"], torch.ones_like(written[:, start:])], dim=1)
        positions = (mask.cumsum(dim=1) - 1).clamp_min(0)
        logits = model(
            **{**inputs, "input_ids": written, "attention_mask": mask}, position_ids=positions
        ).logits
    for row in range(len(written)):
        for at in range(start, written.shape[1]):
            assert written[row, at] == logits[row, at - 1].argmax()
            if written[row, at] == eos:
                break


def test_beams_keep_their_ecgs(built: Built, ecgs: list[Ecg]) -> None:
    model, processor = built
    inputs = prompts(processor, ecgs)
    three = model.generate(
        **inputs, max_new_tokens=4, do_sample=False, num_beams=3, num_return_sequences=3
    )
    alone = model.generate(
        **processor(["Which leads show noise?"], [[ecgs[0]]]),
        max_new_tokens=4,
        do_sample=False,
        num_beams=3,
    )
    assert torch.equal(three[0][-4:], alone[0][-4:])


def test_placeholders_without_ecg_are_refused(built: Built, ecgs: list[Ecg]) -> None:
    model, processor = built
    inputs = processor(["Any infarction?"], [[ecgs[0]]])
    with pytest.raises(SpliceError, match="expected 0 ECG placeholders"):
        model(input_ids=inputs["input_ids"])
    with pytest.raises(SpliceError, match="expected 10 ECG placeholders"):
        model(**{**inputs, "ecg_index_BE": torch.tensor([[0, 0]])})


def test_encoder_keeps_its_statistics_while_training(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    model, processor = built
    model.train()
    before = {name: value.clone() for name, value in model.encoder.named_buffers()}
    model(batch=processor.batch(groups, ecgs=ecgs))
    assert before
    assert all(torch.equal(before[name], value) for name, value in model.encoder.named_buffers())


def test_building_is_a_function_of_the_seed(recipe: Any, corpus: Any) -> None:
    state = torch.random.get_rng_state()
    one, other, third = (build_model(recipe(seed=s), None, corpus)[0] for s in (1, 1, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    same = [torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True)]
    assert all(same)
    assert not all(
        torch.equal(a, b) for a, b in zip(one.parameters(), third.parameters(), strict=True)
    )


def test_pretrained_encoder_is_used(tmp_path: Path, recipe: Any, corpus: Any) -> None:
    from truelead.config import EncoderConfig
    from truelead.model.encoder import build_encoder

    encoder = build_encoder(EncoderConfig(options={"width": 24}), 1000)
    encoder.save(tmp_path)
    model, _ = build_model(recipe(), tmp_path, corpus)
    assert torch.equal(model.encoder.stem[0].weight, encoder.stem[0].weight)
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())
    with pytest.raises(ModelError, match=r"5000 samples .* found 1000"):
        build_model(recipe(data={"sampling_rate": 500}), tmp_path, corpus)


def test_encoder_learns_where_a_stage_says_so(recipe: Any, corpus: Any) -> None:
    model, _ = build_model(recipe(finetune={"encoder_learning_rate": 1e-4}), None, corpus)
    assert all(parameter.requires_grad for parameter in model.encoder.parameters())


def test_damaged_folders_are_named(tmp_path: Path, built: Built) -> None:
    with pytest.raises(ModelError, match=r"config\.json, found none"):
        load_model(tmp_path)
    save_model(tmp_path, *built)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    with pytest.raises(ModelError, match="expected a whole TrueLead model"):
        load_model(tmp_path)
    weights.unlink()
    with pytest.raises(ModelError, match="expected a whole TrueLead model"):
        load_model(tmp_path)


def test_impossible_sizes_are_named(recipe: Any, corpus: Any) -> None:
    with pytest.raises(ModelError, match=r"hidden_size: expected a multiple of 6"):
        build_model(recipe(language_model={"hidden_size": 32, "heads": 3}), None, corpus)
