"""A formula's text, read: tokens, the algebra of terms, structures of covariance, hints; no data here."""
