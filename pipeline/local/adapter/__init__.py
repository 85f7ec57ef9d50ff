"""Where MiniStack is extended: the only folder that touches its private parts, one module a seam.

`tests/contract/local_core` has one test by name for each seam, so that an upgrade that moves one says which.
"""
