"""A folder that a run is still writing into: what is new in it, and what has been seen before. No printing."""
