"""Commands that show runs: as one page, and as pages of a small web server."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ketwire.scenarios.options import Bind
from ketwire.scenarios.runs.output import say


def report_page(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run or of a study.")],
    out: Annotated[
        Path | None, typer.Option("-o", metavar="FILE", help="A .html file; else report.html in DIR.")
    ] = None,
) -> None:
    """Write a run or a study as one HTML page that needs nothing else. Needs the extra `plots`."""
    from ketwire.scenarios.shelf import report  # noqa: PLC0415

    say(f"wrote {report(folder, out)}")


def serve(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with runs or studies below it.")],
    bind: Bind = "127.0.0.1:0",
) -> None:
    """Serve the pages of all runs and studies below a folder, as they come. Needs the extra `plots`."""
    from ketwire.scenarios.reports.extras import extra  # noqa: PLC0415
    from ketwire.scenarios.serve import PageServer  # noqa: PLC0415

    extra("matplotlib", "plots", "serve")
    with PageServer(folder, bind) as server:
        say(f"serving {folder} at {server.url} until Ctrl-C")
        with suppress(KeyboardInterrupt):
            server.serve_forever()
