"""Training: the loop, the DeepSpeed engine, checkpoints, feeds and stages, on Ray Train."""
