"""What `fix` does: choose a checkpoint, seed the envelope, attach a compensation, resume, compare."""
