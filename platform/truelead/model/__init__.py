"""ECG encoder, projector, language model, and the model composed of them.

Importing this package makes `AutoConfig`, `AutoModel`, `AutoModelForCausalLM`, `AutoProcessor` and
`AutoFeatureExtractor` of transformers know TrueLead's folders.
"""

from __future__ import annotations

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForCausalLM,
    AutoProcessor,
)

from truelead.model.configuration import TrueLeadConfig
from truelead.model.feature_extraction import EcgFeatureExtractor
from truelead.model.modeling import TrueLeadForConditionalGeneration
from truelead.model.processing import TrueLeadProcessor

__all__ = [
    "EcgFeatureExtractor",
    "TrueLeadConfig",
    "TrueLeadForConditionalGeneration",
    "TrueLeadProcessor",
]

AutoConfig.register(TrueLeadConfig.model_type, TrueLeadConfig, exist_ok=True)
AutoModel.register(TrueLeadConfig, TrueLeadForConditionalGeneration, exist_ok=True)
AutoModelForCausalLM.register(TrueLeadConfig, TrueLeadForConditionalGeneration, exist_ok=True)
AutoFeatureExtractor.register(TrueLeadConfig, EcgFeatureExtractor, exist_ok=True)
AutoProcessor.register(TrueLeadConfig, TrueLeadProcessor, exist_ok=True)
