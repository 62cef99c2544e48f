"""One suite for every engine of a fiber: closed forms of physics, asked through the interface alone.

`builtin` always; `netsquid` where it is installed. Then: what an engine that is missing, and an
interpreter that will not do, say; and a fiber in an interpreter of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ketwire.channels import engines
from ketwire.channels.engines import ENGINES, engine
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.line_values import line_of, told
from ketwire.channels.machines import Machine, Passage
from ketwire.channels.parts import Memory, Noise
from ketwire.channels.streams import stream
from ketwire.channels.transports import Teleport
from ketwire.errors import PartyFailed, ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import Run
from ketwire.quantum.layers import haar_state
from ketwire.scenarios.cli import execute
from tests.kit import receive, scripted, send, unannounced

KEY = bytes(range(32))
SIGMAS = 4.5
HAS_NETSQUID = engine("netsquid").lack() is None
needs_no_netsquid = pytest.mark.skipif(HAS_NETSQUID, reason="netsquid is installed")


@pytest.fixture(params=ENGINES)
def name(request: pytest.FixtureRequest) -> str:
    if request.param == "netsquid":
        pytest.importorskip("netsquid")
    return str(request.param)


def machine_of(name: str, line: Line) -> Machine:
    return engine(name).machine(replace(line, engine=name))  # type: ignore[arg-type]


def drawing(number: int = 0, seen: list[str] | None = None) -> Callable[[str], np.random.Generator]:
    def draw(purpose: str) -> np.random.Generator:
        if seen is not None:
            seen.append(purpose)
        return stream(KEY, purpose, number)

    return draw


def carry(
    machine: Machine, copies: int, states: np.ndarray[Any, Any] | None = None, ready_ps: int = 0, number: int = 0
) -> Passage:
    """Copies spread evenly over the rows of `states`, |0> where none are given."""
    states = np.eye(1, 2, dtype=np.complex128) if states is None else states
    row = np.arange(copies, dtype=np.int64) % len(states)
    return machine.carry(states, row, *[np.full(copies, ready_ps, dtype=np.int64)] * 2, False, drawing(number))


# ---------------------------------------------------------------- loss and time


@pytest.mark.parametrize("length_km", [0.0, 5.0, 20.0, 60.0])
@pytest.mark.parametrize("qubits", [1, 3])
def test_survival(name: str, length_km: float, qubits: int) -> None:
    """(1 - p_init) 10^(-alpha L / 10) of the photons, its n-th power of the copies; the rest is lost."""
    eta = 0.95 * 0.9 * 10 ** (-0.2 * length_km / 10)
    fiber = Fiber(length_km=length_km, loss_db_per_km=0.2, p_init=0.05, detector_efficiency=0.9)
    copies = 4000
    passage = carry(machine_of(name, Line(fiber)), copies, haar_state(qubits, np.random.default_rng(1)))
    photons = copies * qubits
    assert passage.qubits_sent == photons and passage.lost.shape == (copies,) and passage.lost.dtype == np.bool_
    spread = np.sqrt(photons * eta * (1 - eta))
    assert abs(passage.qubits_delivered - photons * eta) <= SIGMAS * spread
    whole = eta**qubits
    assert abs((~passage.lost).sum() - copies * whole) <= SIGMAS * np.sqrt(copies * whole * (1 - whole)) + 1e-9
    assert passage.control_bits == copies and passage.ebits == 0


def test_a_perfect_fiber_loses_nothing_and_heralds_nothing(name: str) -> None:
    passage = carry(machine_of(name, Line(Fiber(length_km=3.0))), 50)
    assert not passage.lost.any() and passage.qubits_delivered == 50 and passage.control_bits == 0


def test_a_fiber_that_loses_all(name: str) -> None:
    passage = carry(machine_of(name, Line(Fiber(length_km=2.0, p_init=1.0))), 40)
    assert passage.lost.all() and passage.qubits_delivered == 0
    assert (passage.arrival_ps == 10_000_000).all()  # empty bins, at the time at which photons would come


@pytest.mark.parametrize(("length_km", "speed"), [(0.0, 2e5), (1.0, 2e5), (33.3, 214_000.0), (1e6, 299_792.0)])
def test_delay(name: str, length_km: float, speed: float) -> None:
    """L / v to the picosecond."""
    fiber = Fiber(length_km=length_km, speed_km_per_s=speed)
    passage = carry(machine_of(name, Line(fiber)), 2, ready_ps=123_456_789)
    assert (passage.arrival_ps - 123_456_789 == round(length_km * 1e12 / speed)).all()


def test_emission_bins(name: str) -> None:
    """A qubit a bin, a register after the other, in order; what comes later waits for the emitter."""
    machine = machine_of(name, Line(Fiber(length_km=1.0, emission_rate_hz=1e9)))
    states = haar_state(3, np.random.default_rng(2))
    first = carry(machine, 4, states)
    assert first.arrival_ps.tolist() == [5_000_000 + 3000 * (copy + 1) for copy in range(4)]
    assert machine.busy_until_ps == 12_000
    second = carry(machine, 2, states, ready_ps=10_000, number=1)
    assert second.arrival_ps.tolist() == [5_015_000, 5_018_000]
    idle = carry(machine, 1, states, ready_ps=10**9, number=2)
    assert idle.arrival_ps.tolist() == [1_005_003_000]


def test_no_copies(name: str) -> None:
    machine = machine_of(name, Line(Fiber(length_km=1.0, detector_efficiency=0.5), (Noise("dephasing", 0.5),)))
    passage = carry(machine, 0)
    assert len(passage.arrival_ps) == len(passage.lost) == len(passage.row) == passage.qubits_sent == 0
    assert machine.busy_until_ps == 0


def test_losses_of_batches_and_qubits_are_independent(name: str) -> None:
    machine = machine_of(name, Line(Fiber(detector_efficiency=0.5)))
    masks = np.array([carry(machine, 256, number=number).lost for number in range(20)], dtype=np.float64) * 2 - 1
    between = masks @ masks.T / np.sqrt(256)
    assert np.abs(between[np.triu_indices(20, 1)]).max() <= SIGMAS
    assert abs((masks[:, 1:] * masks[:, :-1]).sum()) <= SIGMAS * np.sqrt(20 * 255)


# ---------------------------------------------------------------- states

STARTS = {
    "zero": [1, 0], "one": [0, 1], "plus": [1, 1], "right": [1, 1j], "some": [0.6, 0.48 - 0.64j],
}  # fmt: skip
P = 0.3


def depolarized(rho: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (1 - P) * rho + P * np.eye(2) / 2


def dephased(rho: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return rho * np.array([[1, 1 - 2 * P], [1 - 2 * P, 1]])


def ensemble(passage: Passage) -> np.ndarray[Any, Any]:
    """The state of the copies that arrived, averaged."""
    vectors = passage.states[passage.row[~passage.lost]]
    return np.einsum("ki,kj->ij", vectors, vectors.conj()) / len(vectors)


def assert_is(passage: Passage, rho: np.ndarray[Any, Any]) -> None:
    arrived = int((~passage.lost).sum())
    # An entry of a unit vector's projector is at most 1/2 off the diagonal: its spread is below 1.
    assert np.abs(ensemble(passage) - rho).max() <= SIGMAS / np.sqrt(arrived)
    assert np.abs(np.linalg.norm(passage.states, axis=1) - 1).max() < 1e-12


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    ("noise", "channel"),
    [
        (Noise("depolarizing", P), depolarized),
        (Noise("depolarizing", rate_hz=-np.log(1 - P) / 50e-6), depolarized),
        (Noise("dephasing", P), dephased),
        (Noise("dephasing", rate_hz=-np.log(1 - P) / 50e-6), dephased),
    ],
)
def test_noise_in_flight(name: str, start: str, noise: Noise, channel: Callable[..., Any]) -> None:
    """Of 10 km, 50 us; on the copies that are not lost."""
    state = np.array([STARTS[start]], dtype=np.complex128) / np.linalg.norm(STARTS[start])
    line = Line(Fiber(length_km=10.0, detector_efficiency=0.8), (noise,))
    passage = carry(machine_of(name, line), 8000, state)
    assert_is(passage, channel(np.outer(state[0], state[0].conj())))


def test_the_rate_of_the_table(name: str) -> None:
    """1e7 Hz for 20 ns: fidelity 0.909."""
    line = Line(Fiber(length_km=0.004), (Noise("depolarizing", rate_hz=1e7),))
    passage = carry(machine_of(name, line), 20_000)
    fidelity = ensemble(passage)[0, 0].real
    assert abs(fidelity - 0.5 * (1 + np.exp(-0.2))) <= SIGMAS * np.sqrt(0.909 * 0.091 / 20_000)


def test_each_qubit_of_an_entangled_register_meets_noise_of_its_own(name: str) -> None:
    """GHZ of three, depolarized: the coherence shrinks by (1-p)^3, populations by pairs. Qubit 0 comes first."""
    state = np.zeros((1, 8), dtype=np.complex128)
    state[0, [0, 7]] = np.sqrt(0.7), np.sqrt(0.3)
    passage = carry(machine_of(name, Line(Fiber(), (Noise("depolarizing", P),))), 20_000, state)
    rho = ensemble(passage)
    stay, flip = 1 - P / 2, P / 2
    zeros = np.array([bin(index).count("1") for index in range(8)])
    expected = 0.7 * stay ** (3 - zeros) * flip**zeros + 0.3 * stay**zeros * flip ** (3 - zeros)
    assert np.abs(np.diag(rho).real - expected).max() <= SIGMAS * 0.5 / np.sqrt(20_000)
    assert abs(rho[0, 7] - np.sqrt(0.21) * (1 - P) ** 3) <= SIGMAS / np.sqrt(20_000)


def test_the_first_qubit_is_the_most_significant(name: str) -> None:
    """A memory damps |10> to |00>, never to |01>."""
    line = Line(Fiber(emission_rate_hz=1e6), (), Memory(t1_ps=2e6), Memory())
    states = np.eye(4, dtype=np.complex128)[[2]]
    passage = carry(machine_of(name, line), 40, states)
    kept = np.abs(passage.states) ** 2
    assert (kept[:, [1, 3]] < 1e-12).all() and ensemble(passage)[0, 0].real > 0.3


@pytest.mark.parametrize(("t1_ps", "t2_ps"), [(40e6, 30e6), (40e6, None), (None, 30e6), (40e6, 80e6)])
def test_waiting_for_the_emitter(name: str, t1_ps: float | None, t2_ps: float | None) -> None:
    """Copy k waits k bins of 1 us in a memory with T1 and T2; light takes no time."""
    copies = 24
    machine = machine_of(name, Line(Fiber(emission_rate_hz=1e6), (), Memory(t1_ps, t2_ps), Memory()))
    state = np.array([[0.6, 0.8]], dtype=np.complex128)
    repeats = 40
    total = np.zeros((copies, 2, 2), dtype=np.complex128)
    for number in range(repeats):
        passage = carry(machine, copies, state, ready_ps=machine.busy_until_ps, number=number)
        vectors = passage.states[passage.row]
        total += np.einsum("ki,kj->kij", vectors, vectors.conj())
    waits = np.arange(copies) * 1e6
    t1, t2 = Memory(t1_ps, t2_ps).constants
    excited, coherence = 0.64 * np.exp(-waits / t1), 0.48 * np.exp(-waits / t2)
    # Sums over all copies, so that few repeats suffice; a deviation of any one would be blurred, not hidden.
    spread = SIGMAS * 0.5 / np.sqrt(repeats * copies)
    for weights in (np.ones(copies), np.linspace(-1, 1, copies)):
        assert abs(weights @ (total[:, 1, 1].real / repeats - excited)) / copies <= spread
        assert abs(weights @ (total[:, 0, 1].real / repeats - coherence)) / copies <= spread
    assert np.allclose(total[0] / repeats, [[0.36, 0.48], [0.48, 0.64]])  # the first does not wait


def test_waiting_for_the_qubits_of_the_same_register(name: str) -> None:
    """Three qubits in bins of 1 us: number j relaxes for j bins at the sender and 2 - j at the receiver."""
    line = Line(Fiber(emission_rate_hz=1e6), (), Memory(t1_ps=2e6), Memory(t1_ps=3e6))
    states, copies = np.eye(1, 8, 7, dtype=np.complex128), 60
    machine, found = machine_of(name, line), np.zeros(3)
    for number in range(20):
        row, ready_ps = np.zeros(copies, dtype=np.int64), np.full(copies, machine.busy_until_ps)
        passage = machine.carry(states, row, ready_ps, ready_ps, True, drawing(number))
        populations = (np.abs(passage.states[passage.row]) ** 2).reshape(copies, 2, 2, 2)
        found += [populations[:, 1].sum(), populations[:, :, 1].sum(), populations[..., 1].sum()]
    expected = np.exp(-np.arange(3) / 2 - (2 - np.arange(3)) / 3)
    assert np.abs(found / (20 * copies) - expected).max() <= SIGMAS * 0.5 / np.sqrt(20 * copies)


def test_no_state_is_touched_where_there_is_no_noise(name: str) -> None:
    states = haar_state(2, np.random.default_rng(4), 3)
    line = Line(Fiber(length_km=2.0, detector_efficiency=0.9, emission_rate_hz=1e9))
    row, ready_ps = np.arange(30, dtype=np.int64) % 3, np.zeros(30, dtype=np.int64)
    passage = machine_of(name, line).carry(states, row, ready_ps, ready_ps, False, drawing())
    assert passage.states is states and passage.row is row


def test_arguments_are_left_alone(name: str) -> None:
    states = haar_state(2, np.random.default_rng(5), 3)
    row, ready_ps = np.arange(30, dtype=np.int64) % 3, np.arange(30, dtype=np.int64)
    before = states.copy(), row.copy(), ready_ps.copy()
    line = Line(Fiber(detector_efficiency=0.9, emission_rate_hz=1e9), (Noise("depolarizing", P),), Memory(t1_ps=1e5))
    machine_of(name, line).carry(states, row, ready_ps, ready_ps, False, drawing())
    assert all((old == new).all() for old, new in zip(before, (states, row, ready_ps), strict=True))


def test_the_same_streams_give_the_same_passage(name: str) -> None:
    line = Line(Fiber(length_km=5.0, detector_efficiency=0.7), (Noise("depolarizing", P),))
    states = haar_state(2, np.random.default_rng(6), 2)
    one, two, other = (carry(machine_of(name, line), 300, states, number=number) for number in (0, 0, 1))
    assert (one.lost == two.lost).all() and (one.row == two.row).all() and np.allclose(one.states, two.states)
    assert (one.lost != other.lost).any() and not np.array_equal(one.row, other.row)


def test_all_randomness_is_asked_for(name: str) -> None:
    """Nothing is drawn at another's expense: a machine between them changes no draw."""
    line = Line(Fiber(length_km=5.0, detector_efficiency=0.7), (Noise("dephasing", P),))
    alone = carry(machine_of(name, line), 200, number=3)
    seen: list[str] = []
    machine_of(name, line).carry(
        np.eye(1, 2, dtype=np.complex128), *[np.zeros(9, dtype=np.int64)] * 3, False, drawing(7, seen),
    )  # fmt: skip
    after = carry(machine_of(name, line), 200, number=3)
    assert seen and (alone.lost == after.lost).all() and (alone.row == after.row).all()


# ---------------------------------------------------------------- which line an engine takes


def test_a_line_names_its_engine() -> None:
    line = Line(Fiber(length_km=1.0), engine="netsquid")
    assert line_of(told(line)) == line and line != Line(Fiber(length_km=1.0))
    with pytest.raises(ValueError, match=r"engine: 'stim' given, expected one of builtin, netsquid"):
        Line(engine="stim")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"transport": Teleport()}, "transport: 'teleport' given, expected direct"),
        ({"noise": (Noise("amplitude-damping", 0.1),)}, "noise: 'amplitude-damping' given, expected depolarizing"),
        ({"noise": (Noise("bit-flip", 0.1),)}, "noise: 'bit-flip' given"),
        ({"noise": (Noise("dephasing", 0.1),) * 2}, "noise: 2 channels given, expected at most one"),
        ({"fiber": Fiber(length_km=1e6, speed_km_per_s=200.0)}, "length_km: light takes 5e+03 s, expected below"),
    ],
)
def test_what_netsquid_is_not_asked_for_is_refused_by_name(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        Line(**{"fiber": Fiber(length_km=1.0), **fields}, engine="netsquid")
    assert str(caught.value).startswith(words) and "netsquid" in str(caught.value)


def test_importing_the_adapter_imports_nothing_of_netsquid() -> None:
    code = (
        "import sys, ketwire.channels.netsquid_engine as adapter; adapter.NetSquid().machine("
        "__import__('ketwire.channels.line').channels.line.Line(engine='netsquid'));"
        "assert not {'netsquid', 'pydynaa', 'numba', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# ---------------------------------------------------------------- runs

SCENARIO = """\
seed: 7
nodes: {alice: {}, bob: {}}
links:
  - {between: [alice, bob], fiber: telecom-fiber, length_km: 1}
protocol: {kind: inference, qubits: 2, start: alice, layers: [{at: bob, layer: hadamards}], copies: 20,
  dense_state: null}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(SCENARIO)
    return path


def said(capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> tuple[int, str]:
    code = execute(["run", str(path), "--json", *options])
    line = unannounced(capsys.readouterr().err)
    assert line.count("\n") == 1 if line else True
    return code, line


@needs_no_netsquid
@pytest.mark.parametrize("how", [["--inline"], []])
def test_a_run_without_netsquid_says_so(
    scenario: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, how: list[str]
) -> None:
    def no_process(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr("ketwire.nodes.processes.run.Children", no_process)
    code, line = said(capsys, scenario, *how, "--set", "links.0.engine=netsquid")
    assert code == 2
    assert "run.yaml: links.0.engine: 'netsquid' given for alice-bob, expected one that works here: Python" in line
    assert "has no netsquid (docs/engines.md says how to get it)" in line


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["transport=teleport"], 'links.0.transport: "teleport" given, expected direct with the engine netsquid'),
        (["noise=[{kind: bit-flip, probability: 0.1}]"], "expected depolarizing or dephasing with the engine netsquid"),
        (["engine=stim"], "links.0.engine: \"stim\" given, expected 'builtin' or 'netsquid'"),
        (["python=''"], 'links.0.python: "" given, expected'),
    ],
)
def test_a_scenario_that_asks_too_much(
    scenario: Path, capsys: pytest.CaptureFixture[str], changes: list[str], words: str
) -> None:
    sets = [option for change in ("engine=netsquid", *changes) for option in ("--set", f"links.0.{change}")]
    code, line = said(capsys, scenario, *sets)
    assert code == 2 and words in line, line


def test_a_netsquid_that_is_another_package_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package of that name without NetSquid's modules; in a process of its own, sys.modules stays clean."""
    (tmp_path / "netsquid").mkdir()
    (tmp_path / "netsquid" / "__init__.py").write_text("")
    code = "from ketwire.channels.engines import engine; print(engine('netsquid').lack())"
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60
    )
    assert "netsquid cannot be used with Python" in done.stdout and "netsquid.components" in done.stdout


# ---------------------------------------------------------------- interpreters


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This interpreter under another path: a venv that finds what this one does."""
    folder = tmp_path_factory.mktemp("twin") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    (packages,) = (folder / "lib").glob("python3.*/site-packages")
    (packages / "twin.pth").write_text("\n".join(path for path in sys.path if path and Path(path).is_dir()))
    return folder / "bin" / "python"


def chatter() -> Run:
    """Losses, noise and classical messages both ways."""
    scripts = {
        "alice": [send("bob", "copies", 200), receive("bob", "answers"), receive("bob", "copies")],
        "bob": [receive("alice", "copies"), send("alice", "answers", 50), send("alice", "copies", 90)],
    }
    noisy = Line(Fiber(length_km=3.0, loss_db_per_km=0.2, emission_rate_hz=1e8), (Noise("depolarizing", 0.1),))
    run = scripted(scripts)
    return replace(run, links=(replace(run.links[0], forward=noisy, backward=noisy),))


def over(run: Run, python: str | Path) -> Run:
    return replace(run, links=(replace(run.links[0], python=str(python)),))


def test_a_fiber_in_an_interpreter_of_its_own_gives_the_same_transcript(twin: Path) -> None:
    plain = run_inline(chatter())[0]
    (result,) = run_processes(over(chatter(), twin))
    assert result.transcript_sha256 == plain.transcript_sha256 == run_inline(over(chatter(), twin))[0].transcript_sha256
    assert result.directions == plain.directions and result.clocks_ps == plain.clocks_ps


@pytest.mark.long
def test_it_is_that_interpreter_that_runs(twin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fiber's process, and no other, says that it was started by that path."""
    hook = tmp_path / "hook"
    hook.mkdir()
    tell = f"import sys, pathlib; pathlib.Path({str(tmp_path)!r}, 'told').open('a').write(sys.executable + chr(10))"
    (hook / "sitecustomize.py").write_text(f"import sys\nif '-m' in sys.orig_argv:\n    {tell}\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(hook), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(sys, "executable", sys.executable)
    run_processes(over(chatter(), twin))
    started = (tmp_path / "told").read_text().split()
    assert sorted(started) == sorted([sys.executable, str(twin)])  # the nursery, and the fiber


@pytest.mark.long
def test_the_death_of_such_a_fiber_is_told(tmp_path: Path, twin: Path) -> None:
    """A process that dies is named, with how, as those are that the nursery forked."""
    dying = tmp_path / "python"
    # The probe is `-P -c`, the fiber's process `-P -m`.
    dying.write_text(f'#!/bin/sh\nif [ "$2" = -m ]; then echo last words; kill -9 $$; fi\nexec {twin} "$@"\n')
    dying.chmod(0o755)
    with pytest.raises(PartyFailed, match=r"process \d+ was killed by SIGKILL; its last lines: last words") as caught:
        run_processes(over(chatter(), dying))
    assert caught.value.party == "alice-bob"


@pytest.mark.parametrize("runtime", [run_inline, run_processes])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (None, "expected a Python interpreter that exists and can be started"),
        ("#!/bin/sh\nexit 0\n", "expected a Python interpreter, 3.11 or later"),
        ("#!/bin/sh\necho '[]'\n", "expected a Python interpreter, 3.11 or later"),
        ("#!/bin/sh\necho '{\"python\": [3, 10]}'\n", "expected Python 3.11 or later, this one is 3.10"),
        ("no program at all", "expected a Python interpreter, 3.11 or later"),
        ("#!/bin/sh\nexec env -u PYTHONPATH {python} -I -S \"$@\"\n", "expected an interpreter that has ketwire"),
    ],
)
def test_an_interpreter_that_will_not_do(tmp_path: Path, runtime: Any, body: str | None, words: str) -> None:
    path = tmp_path / "interpreter"
    if body is not None:
        path.write_text(body.replace("{python}", sys.executable))
        path.chmod(0o755)
    with pytest.raises(ScenarioError) as caught:
        runtime(over(chatter(), path))
    text = str(caught.value)
    assert text.startswith(f"links.0.python: {str(path)!r} given for alice-bob, expected ") and words in text
    assert "\n" not in text


@pytest.mark.long
@needs_no_netsquid
def test_an_interpreter_without_netsquid(twin: Path) -> None:
    run = over(chatter(), twin)
    dephasing = Line(Fiber(length_km=1.0), (Noise("dephasing", 0.1),), engine="netsquid")
    run = replace(run, links=(replace(run.links[0], forward=dephasing),))
    with pytest.raises(ScenarioError, match=r"links\.0\.python: .* expected an interpreter with the engine netsquid"):
        run_processes(run)
    with pytest.raises(ScenarioError, match=r"links\.0\.engine: 'netsquid' given for alice-bob"):
        run_inline(run)


def test_the_path_starts_from_the_scenario_s_folder(
    scenario: Path, capsys: pytest.CaptureFixture[str], twin: Path
) -> None:
    (scenario.parent / "bin").mkdir()
    (scenario.parent / "bin" / "python").symlink_to(twin)
    code, line = said(capsys, scenario, "--set", "links.0.python=./nowhere/python")
    assert code == 2 and f"links.0.python: '{scenario.parent}/nowhere/python' given for alice-bob, expected" in line
    code, line = said(capsys, scenario, "--set", "links.0.python=no-such-python")
    assert code == 2 and "links.0.python: 'no-such-python' given for alice-bob" in line


def test_fibers_started_by_hand_name_no_interpreter(tmp_path: Path) -> None:
    from ketwire.nodes.processes.by_hand import serve_coordinator
    from ketwire.nodes.processes.given import Given

    with pytest.raises(ScenarioError, match=r"links\.0\.python: .* given for alice-bob, expected nothing here"):
        serve_coordinator(over(chatter(), sys.executable), Given(tmp_path), "127.0.0.1:1")


@needs_no_netsquid
def test_a_fiber_without_its_engine_gives_up_before_it_is_ready() -> None:
    """Started by hand, nobody looked before: the coordinator is told, by the error of a bad scenario."""
    with pytest.raises(ScenarioError, match="engine: 'netsquid' given, expected one that works here"):
        engines.require("netsquid")
