"""The file formats, one class each."""
