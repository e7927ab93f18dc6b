"""From embeddings to groups: who is paired with whom, in which tier, and which one to keep."""
