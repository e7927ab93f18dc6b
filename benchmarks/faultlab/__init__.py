"""Faults made on purpose: what a program, a disk or a person may do to a collection."""
