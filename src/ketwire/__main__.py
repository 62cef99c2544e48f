"""`python -m ketwire`: the program of that name, where no command is installed."""

from ketwire.scenarios.cli import main

if __name__ == "__main__":
    main()
