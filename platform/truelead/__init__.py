"""TrueLead: train, sweep, judge and serve a language model that reads 12-lead ECGs."""

__version__ = "0.1.0"
