"""What is told of a whole fit: the summary and the tidy tables."""
