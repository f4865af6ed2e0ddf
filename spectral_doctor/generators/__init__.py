"""The witness: a generator rebuilt from its state dict, its samples, and what they show. No code of a file is run."""
