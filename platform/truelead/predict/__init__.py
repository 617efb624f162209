"""Batch prediction: a list of questions answered over a whole ECG set, with Ray Data."""
