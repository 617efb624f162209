"""Severity of illness, backdoor adjustment, and causal diagnostics."""
