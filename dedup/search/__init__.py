"""Exact search over unit vectors: neighbours of queries, and pairs within a gallery."""
