"""Verdicts of ADTK 0.6.2, recorded by `record.py`."""
