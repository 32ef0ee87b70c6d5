"""Random designs, fitted by the package and judged by a second, plain implementation that shares no code with it."""
