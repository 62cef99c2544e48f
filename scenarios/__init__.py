"""What is run: typed scenario files, the kinds of protocol, the command line, results.

No other folder imports it. `ketwire.kit` passes on the names that authors of protocols need.
"""

if __name__ != "ketwire.scenarios":
    raise ImportError("import ketwire.scenarios: the folder 'scenarios' is not a package of its own")
