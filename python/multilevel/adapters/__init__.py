"""Fits as the models of other packages; these are imported when they are asked for, not before."""
