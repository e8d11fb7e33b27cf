"""Arithmetic only: arrays and numbers in, numbers out; no Python objects, options or threads."""
