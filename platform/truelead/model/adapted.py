"""A base model and an adapter to a model of its own, which shares what they have in common.

The second model is built empty, takes the base's tensors as they lie in memory, then its own in
place of some, and holds the low-rank adapters beside the weights, not merged into them. So each
further adapter costs the memory of what it has beyond the base, and neither model's answers depend
on what the other one does.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from peft import inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from truelead.errors import ModelError
from truelead.model.adapter_folder import ServedAdapter
from truelead.model.answer_rule import check_rule
from truelead.model.configuration import TrueLeadConfig
from truelead.model.modeling import TrueLeadForConditionalGeneration
from truelead.model.processing import TrueLeadProcessor

_ADAPTER = "default"


@torch.no_grad()
def adapted_model(
    base: TrueLeadForConditionalGeneration, adapter: ServedAdapter
) -> tuple[TrueLeadForConditionalGeneration, TrueLeadProcessor]:
    """The model that base and adapter are together, in evaluation mode, and its processor.

    Args:
        base: a whole model without adapters inside; it stays as it is.
        adapter: of this base (`truelead.model.adapter_folder.read_adapter`).

    Raises:
        ModelError: the adapter's tensors or settings do not fit the base.
    """
    config = _config(base, adapter)
    with torch.device("meta"):
        model = TrueLeadForConditionalGeneration(config)
    model.load_state_dict(_state(base, model, adapter), assign=True)
    _share_what_no_state_holds(base, model)
    model.generation_config = base.generation_config
    _add_adapters(model.language_model, adapter)
    processor = _processor(adapter)
    # Inference only; the base's parameters keep their own marks.
    return model.requires_grad_(False).eval(), processor


def _config(base: TrueLeadForConditionalGeneration, adapter: ServedAdapter) -> TrueLeadConfig:
    settings = adapter.manifest.settings
    config: TrueLeadConfig = copy.deepcopy(base.config)
    check_rule(settings.answer_rule, settings.severity_slot)
    config.answer_rule = settings.answer_rule
    config.severity_slot = settings.severity_slot
    config.text_config.vocab_size = settings.vocab_size
    return config


def _state(
    base: TrueLeadForConditionalGeneration,
    model: TrueLeadForConditionalGeneration,
    adapter: ServedAdapter,
) -> dict[str, Tensor]:
    """Every tensor of the new model: its own, else the base's very memory."""
    own, shared = adapter.own_tensors, base.state_dict()
    first = first_names(base)
    state: dict[str, Tensor] = {}
    for name, wanted in model.state_dict().items():
        found = own.get(first.get(name, name))
        if found is not None:
            found = found.to(base.device, base.dtype if found.is_floating_point() else None)
        else:
            found = shared.get(name)
        if found is None or found.shape != wanted.shape:
            other = "none" if found is None else str(list(found.shape))
            raise ModelError(
                f"{adapter.folder}: {name}: expected a tensor {list(wanted.shape)}, found {other}"
            )
        state[name] = found
    if unknown := sorted(set(own) - set(state)):
        raise ModelError(f"{adapter.folder}: expected tensors of the model, found {unknown[0]}")
    return state


def first_names(model: nn.Module) -> dict[str, str]:
    """Of parameters that are one (tied embeddings) the name that stands for them."""
    names: dict[int, str] = {}
    return {
        name: names.setdefault(id(parameter), name)
        for name, parameter in model.named_parameters(remove_duplicate=False)
    }


def _share_what_no_state_holds(base: nn.Module, model: nn.Module) -> None:
    """Tensors that are computed when a model is built, such as rotary frequencies."""
    counterparts = dict(base.named_modules())
    for place, module in model.named_modules():
        for name, values in _empty_tensors(module):
            source = getattr(counterparts.get(place), name, None)
            if not isinstance(source, Tensor) or source.shape != values.shape:
                raise ModelError(f"{place}.{name}: expected the base's tensor, found none")
            setattr(module, name, source)


def _empty_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for held in (dict(module.named_buffers(recurse=False)), vars(module)):
        for name, values in list(held.items()):
            if isinstance(values, Tensor) and values.is_meta:
                yield name, values


def _add_adapters(language_model: nn.Module, adapter: ServedAdapter) -> None:
    try:
        # Without drawing numbers: the adapters come from the folder.
        inject_adapter_in_model(
            adapter.lora, language_model, adapter_name=_ADAPTER, low_cpu_mem_usage=True
        )
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{adapter.folder}: expected adapters of this model: {reason}") from None
    left = dict(adapter.lora_tensors)
    for place, layer in language_model.named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        for part in ("lora_A", "lora_B"):
            matrix = getattr(layer, part)[_ADAPTER]
            name = f"base_model.model.{place}.{part}.weight"
            found = left.pop(name, None)
            if found is None or found.shape != matrix.weight.shape:
                raise ModelError(f"{adapter.folder}: {name}: expected one that fits the layer")
            base = layer.get_base_layer().weight
            matrix.weight = nn.Parameter(found.to(base.device, base.dtype), requires_grad=False)
    if left:
        raise ModelError(f"{adapter.folder}: expected adapters of this model, found {min(left)}")


def _processor(adapter: ServedAdapter) -> TrueLeadProcessor:
    try:
        return TrueLeadProcessor.from_pretrained(adapter.folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{adapter.folder}: expected a processor: {reason}") from None
