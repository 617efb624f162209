"""Search spaces, the objective, and the Ray Tune driver."""
