"""Results as files of plain data: a zip archive of JSON and `.npy` members. Reading one runs no code."""
