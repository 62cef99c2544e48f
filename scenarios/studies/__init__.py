"""Studies: many runs of one scenario over axes, with one folder that takes the results.

The command line and `scenarios.api` import it; it imports `schema`, `kinds`, `runs`, `reports` and the root's `load`.
pandas, pyarrow, joblib and dask.distributed are extras, imported where they are needed.

- `axes`: From axes to the cells of a grid: the labels of each cell, and what it changes in the base scenario.
- `data`: What a study came to: its rows in the order of the grid, statistics over repeats, and the commands behind
  them.
- `engines`: Where runs are carried out: in this process, in processes of this machine (joblib), or by
  dask.distributed.
- `expecting`: Expectations of a study, held against its results.
- `figures`: Figures of a study: lines of means with intervals over an axis, marks for what wins where, or maps.
- `files`: Study files: packaged ones, those of a user, and studies made on the command line or in Python.
- `folder`: The folder of a study: a line for each finished run, written to its file before the next is told of.
- `identity`: What a point is: a hash over its resolved scenario, over what it reads, and over the revision of the
  physics.
- `maps`: Maps of a study: a field over two axes, as colours and numbers, with a contour and presets where they are.
- `outcome`: A study from Python: which study is asked for, and what `ketwire.study` answers with.
- `page`: The page of a study in Markdown, with its figure beside it: what docs/studies holds of each packaged study.
- `points`: The points of a study: each resolved, checked, and known by its identity and the seeds of its repeats.
- `prepare`: A study that is ready to run: its grid, its points, the fields that are recorded, and whose folder takes
  them.
- `progress`: How far a study is: on a terminal a bar with the time left and the last result, else lines now and then.
- `record`: Recorded fields: dotted paths into the JSON view of a result, each kind's own list of them, and checks of
  both.
- `report`: A study as one HTML page: its figures, its points and runs, and the command that runs each alone.
- `running`: The loop over the runs of a study: hands them out, keeps what comes back, and asks whether a point needs
  more.
- `spec`: What a study file says, as types: a base scenario, axes, repeats, what to record, figures and expectations.
- `statistics`: What repeats of a point come to: mean, deviation, interval, percentiles, and the share done by a
  deadline.
- `study`: Carrying a study out: prepare, take what there is, run the rest, write the tables, judge the expectations.
- `tables`: The tables of a study as files: points.csv, summary.csv, points.parquet; and as text for a terminal.
- `work`: One run of a study, in a worker or in this process: JSON comes in, JSON goes out.
"""
