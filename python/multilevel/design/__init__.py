"""A formula and a data frame together: the arrays that the core fits, and new rows coded in the same way."""
