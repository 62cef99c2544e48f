"""What users look at: figures, data frames, notebooks' displays.

Everything here reads the JSON view of a result, so it draws what a run folder holds as well. `scenarios.kinds` and the
root of `scenarios` may import it. matplotlib and pandas are extras, imported where they are needed.

- `extras`: Libraries that only some installations have.
- `figures`: Figures of results: losses and accuracies, estimates with intervals, costs beside rivals, the network.
- `frames`: Results as data frames of pandas.
- `html`: How notebooks show scenarios and results: small tables in HTML, without scripts.
- `network`: The network of a scenario as a picture: parties, links, lengths, transports.
- `runs`: Run folders, read for figures.
"""
