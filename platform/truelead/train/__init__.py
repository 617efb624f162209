"""The training loop, the DeepSpeed engine, checkpoints, and the Ray Train worker."""
