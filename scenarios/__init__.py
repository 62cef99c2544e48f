"""What is run: typed scenario files, the kinds of protocol, the command line, results.

No other folder imports it. `ketwire.kit` passes on the names that authors of protocols need.

- `api`: ketwire from Python: scenarios as values, runs in this process or in processes of their own.
- `cli`: The command line.
- `compose`: A Compose file for a scenario: a container for each party and fiber, and a network for each pair that
  must meet.
- `doctor`: What `ketwire doctor` looks at: whether this installation can run scenarios, and why not.
- `folder_commands`: The commands that look at folders of runs and studies: plot, trace, diff, report, serve.
- `foreign`: What a scenario executes that is not of this installation, found without executing any of it.
- `gnn_commands`: The commands `ketwire gnn train` and `ketwire gnn download`: graph networks trained in one place,
  and their data.
- `hand_commands`: The commands for parties that are started by hand or in containers: keys, coordinator, node, fiber,
  compose.
- `linkcost`: What one register costs on a link, by each transport that could carry it, and which to take.
- `linktext`: What `ketwire link` prints: the costs as a table, which transport to take, and why.
- `live`: The page of a run that is under way.
- `load`: From a name or a file, and what the command line changes in it, to a scenario that can be run.
- `options`: The program's options, and what several of its commands do with them.
- `serve`: A small web server for the pages of a shelf: it listens on this machine alone unless told, and wants a
  token.
- `shelf`: Runs and studies below a folder, and their pages: made when asked for, and again when a folder has changed.
- `study_commands`: The command `ketwire study`: many runs of a scenario, over axes.
"""

if __name__ != "ketwire.scenarios":
    raise ImportError("import ketwire.scenarios: the folder 'scenarios' is not a package of its own")
