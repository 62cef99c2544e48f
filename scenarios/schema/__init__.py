"""What a scenario file says, as types: nodes, links, sources, and the YAML that they come from.

All of `scenarios` may import it. It imports no kind and nothing that runs.

- `chains`: Links with `via`: which hops a chain of repeaters has, its lines, and the plan that its parties share.
- `changes`: Other values for keys of a scenario's data: of the command line, of Python.
- `graphfile`: Graph files of a topology: GraphML and GML, read by networkx, which is an extra (`graphs`).
- `known`: Which presets a scenario may name: ketwire's own, those of installed packages, and those of a file beside
  it.
- `laboratories`: What a scenario says of a laboratory that makes pairs: its attempts, the sides of its station, its
  emitters.
- `links`: What a scenario says of a link: its fiber, noise, transport, repeaters, and who sits in it.
- `listening`: What a scenario says of an eavesdropper in a link.
- `model`: What a scenario file says, as types.
- `nodes`: What a scenario says of a node: a preset of its hardware, and what differs from it.
- `ownpresets`: A user's own presets: a file beside a scenario (`presets: FILE`), and the entry point group
  `ketwire.presets`.
- `presettext`: What `ketwire presets` prints: each preset in a line or two, or one as a piece of a scenario.
- `sources`: Where an owner's data comes from: a file, values, its own random numbers, a known data set.
- `strict`: What every model in a scenario starts from: strict, frozen, and with complaints that name key and value.
- `topology`: A `topology` of a scenario: a shape or a graph file, and the nodes and links that it stands for.
- `validation`: What pydantic found wrong with a scenario, told in one line: key, value, what was expected.
- `yamltext`: YAML, the strict part of it that scenario files use.
"""
