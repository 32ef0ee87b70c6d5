"""What the estimates are worth: standard errors, intervals, criteria. One module per method, each takes a `Fit`."""
