"""The space that images are compared in: one unit vector each, and what a similarity is worth."""
