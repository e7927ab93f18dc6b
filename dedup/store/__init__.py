"""What is kept on disk: the catalog, and the lock that gives it one writer at a time."""
