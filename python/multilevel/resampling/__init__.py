"""What follows from fitting a model again to other responses or rows: bootstrap, tests, power."""
