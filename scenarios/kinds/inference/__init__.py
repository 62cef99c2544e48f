"""The kind `inference`: its spec, two ways to estimate the loss, and its rivals.

Other kinds import its spec, which theirs extend, and `decoys` the kind itself. It imports no other kind.
"""
