"""Wire schema, application and batched inference on Ray Serve."""
