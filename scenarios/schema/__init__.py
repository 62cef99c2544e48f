"""What a scenario file says, as types: nodes, links, sources, and the YAML that they come from.

All of `scenarios` may import it. It imports no kind and nothing that runs.
"""
