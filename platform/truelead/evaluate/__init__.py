"""Metrics, test suites and the report."""
