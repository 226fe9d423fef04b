"""Bytes to arrays and back, a module per wire protocol, pure functions."""
