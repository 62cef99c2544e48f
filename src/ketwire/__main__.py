"""`python -m ketwire`: the program of that name, where no command is installed."""

import os
import sys


def _without_here() -> None:
    """Take the working directory, which `-m` has put there, off the path: its files are no modules of ours."""
    try:
        here = os.getcwd()
    except OSError:  # it was removed, and so is not on the path
        return
    if not sys.flags.safe_path and sys.path[:1] == [here]:
        del sys.path[0]


if __name__ == "__main__":
    _without_here()
    from ketwire.scenarios.cli import main

    main()
