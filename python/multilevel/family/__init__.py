"""Families of densities, their links and what a response of each may be, as the core's registry has them."""
