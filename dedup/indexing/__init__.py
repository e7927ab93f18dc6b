"""The one pipeline: scan, read, digest, decode, embed, store."""
