"""What each verb of the public API does with an open session; `Collection` documents them.

Arguments are checked here or in `Collection`, by `dedup.arguments`; the work is done below.
"""
