"""From files to a model and back."""
