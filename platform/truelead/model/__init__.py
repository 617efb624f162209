"""ECG encoder, projector, language model, and the model composed of them."""
