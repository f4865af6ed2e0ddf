"""What is in a checkpoint: which network is which, in which form its weights are stored, and their matrices."""
