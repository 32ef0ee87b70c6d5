"""Pictures of a fit, each drawn by a module of its own on matplotlib's Axes."""
