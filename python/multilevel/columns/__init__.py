"""From the columns of any data frame to numbers with names: rows used, expressions, factors, codings, levels."""
