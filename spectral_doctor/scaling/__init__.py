"""Many files: worker processes, clusters and job arrays, and rows from which the one result is rebuilt."""
