"""A collection in object storage: the stages of one machine as tasks over shards, on any engine.

A stage is a pure function of a shard whose only output is one object; the object counts once a
commit names it (`commits`). Engines start functions and know nothing else (`engine`). The names of
objects and their columns are in `schemas`.
"""
