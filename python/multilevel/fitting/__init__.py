"""The call into the core, and the record of what it found: a `Fit`, with its names, its certificate and its verdict."""
