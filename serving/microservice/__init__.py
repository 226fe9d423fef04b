"""One model behind every protocol: the hot path."""
