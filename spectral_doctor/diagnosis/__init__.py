"""Rules, thresholds, verdicts: plain floats, no torch."""
