"""What users look at: figures, data frames, notebooks' displays, and pages that show a whole run.

Everything here reads the JSON view of a result, so it draws what a run folder holds as well. `scenarios.kinds`,
`scenarios.runs` and the root of `scenarios` may import it. matplotlib and pandas are extras, imported where they are
needed.

- `again`: The command that runs something again.
- `columns`: Tables that a page's script shows, column by column; names are numbers, so that large tables stay small.
- `elements`: HTML that escapes all text: only what these functions made is taken as it is.
- `extras`: Libraries that only some installations have.
- `figures`: Figures of results: losses and accuracies, estimates with intervals, costs beside rivals, the network.
- `frames`: Results as data frames of pandas.
- `hover`: Titles that browsers show over parts of a figure, and figures whose colours follow the theme of a page.
- `html`: How notebooks show scenarios and results: small tables in HTML, without scripts.
- `intervals`: Intervals of what was found: of estimates and of shares of right decisions.
- `ledger`: The ledger of a run folder, message by message.
- `network`: The network of a scenario as a picture: parties, links, lengths, transports.
- `page`: One page of HTML that holds all it needs: style, script, figures, data. Nothing is loaded from elsewhere.
- `runs`: Run folders, read for figures and pages.
- `sections`: What the page of a run says, section by section.
- `units`: Virtual times in words.
"""
