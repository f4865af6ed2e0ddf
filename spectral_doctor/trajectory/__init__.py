"""Spectra in step order, with their envelope, and the history file they are kept in."""
