"""Hard pairs: what looks the same and is not, and what is the same and does not look it."""
