"""Runs scenarios that come as JSON on standard input, and writes what came of each: for test_kernels.py.

A process of its own, as a library chooses its kernel when it is loaded. Input: {"fused": BOOL, "cases": [[PATH,
SETS], ...]}; with `fused` every circuit goes to the compiled engine. Output, a line each: the transcripts of all
sessions by name, and the figures of the result.
"""

from __future__ import annotations

import json
import sys

from ketwire.nodes.inline import run_inline
from ketwire.quantum.engines import dispatch as engine
from ketwire.scenarios.kinds.interface import Judge
from ketwire.scenarios.load import load


def main() -> None:
    asked = json.load(sys.stdin)
    if asked["fused"]:
        engine.FUSED_WORTH = 0.0
    for path, sets in asked["cases"]:
        loaded = load(path, tuple(sets), None)
        results = run_inline(loaded.run())
        figures = loaded.kind.summarise(loaded.scenario.protocol, results, Judge(loaded.network())).told()
        told = {"hashes": {result.name: result.transcript_sha256 for result in results}, "figures": figures}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
