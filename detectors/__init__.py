"""Anomaly detectors: estimators and their hot loops."""
