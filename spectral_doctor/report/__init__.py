"""Diagnoses as strings and figures; nothing here prints or opens a file."""
