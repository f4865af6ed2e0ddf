"""The only rooms that open weight files: stores, formats, the pickle machine, discovery, steps, writing."""
