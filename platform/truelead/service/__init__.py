"""Answers over HTTP: the wire format, Ray Serve's deployments, and a client."""
