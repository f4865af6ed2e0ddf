"""From an inspection to a decision: rules with codes and levels, settings, and the baseline. No torch."""
