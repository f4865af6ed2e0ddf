"""The papers' tables again: every method on the same data, networks, seeds and steps."""
