"""ketwire: kets on the wire.

Node processes hold registers of log2 N qubits, send them to each other as serialized states over
simulated lossy fibers with timing, and so run distributed inference. The folders of the project
are this package's subpackages; each may import only those to its right:

    scenarios -> nodes -> protocols -> channels -> quantum

From Python:

    import ketwire as kw
    result = kw.run("digits", {"links.0.length_km": 10}, seed=3)

Names are loaded when they are first used, so that `import ketwire` stays light.
"""

TYPE_CHECKING = False  # as in typing, which is not loaded for it; type checkers know the name
if TYPE_CHECKING:
    from ketwire.errors import (
        Deadlock,
        KetwireError,
        LocalProtocolError,
        PartyFailed,
        RemoteProtocolError,
        ScenarioError,
    )
    from ketwire.scenarios.api import Scenario, link_cost, presets, run, study
    from ketwire.scenarios.kinds.result import Rival, RunResult, SessionFigures
    from ketwire.scenarios.studies.outcome import StudyOutcome

__version__ = "0.2.0"
__all__ = [
    "Deadlock",
    "KetwireError",
    "LocalProtocolError",
    "PartyFailed",
    "RemoteProtocolError",
    "Rival",
    "RunResult",
    "Scenario",
    "ScenarioError",
    "SessionFigures",
    "StudyOutcome",
    "__version__",
    "link_cost",
    "presets",
    "run",
    "study",
]

_API, _RESULT = "ketwire.scenarios.api", "ketwire.scenarios.kinds.result"
_ELSEWHERE = dict.fromkeys(("Scenario", "link_cost", "presets", "run", "study"), _API)
_ELSEWHERE |= dict.fromkeys(("Rival", "RunResult", "SessionFigures"), _RESULT)
_ELSEWHERE["StudyOutcome"] = "ketwire.scenarios.studies.outcome"


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'ketwire' has no attribute {name!r}, expected one of {', '.join(__all__)}")
    module = __import__(_ELSEWHERE.get(name, "ketwire.errors"), fromlist=[name])
    found: object = getattr(module, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
