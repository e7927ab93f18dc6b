"""`python -m dedup`."""

from dedup.cli import program

program()
