"""Networks, data, losses and recipes: what `train` can build."""
