"""What follows from the estimates for a predictor: means over a grid, contrasts, slopes and comparisons."""
