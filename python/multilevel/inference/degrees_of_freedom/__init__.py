"""Denominator degrees of freedom of linear models, one module per method, and the choice among them."""
