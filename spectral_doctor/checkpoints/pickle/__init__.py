"""What a pickle says, read without obeying it."""
