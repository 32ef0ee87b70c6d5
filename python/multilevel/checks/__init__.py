"""Whether the model suits the data."""
