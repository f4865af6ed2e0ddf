"""Definitions, thresholds, statements: plain floats, no torch."""
