"""What users look at: figures, data frames, notebooks' displays.

Everything here reads the JSON view of a result, so it draws what a run folder holds as well. `scenarios.kinds` and the
root of `scenarios` may import it. matplotlib and pandas are extras, imported where they are needed.
"""
