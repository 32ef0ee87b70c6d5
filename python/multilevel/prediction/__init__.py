"""What a `Fit` says of rows and levels: means, conditional modes, residuals, and where the data say nothing."""
