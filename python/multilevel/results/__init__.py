"""What a user holds after a fit: a class per subject, joined in `results`; no method computes anything."""
