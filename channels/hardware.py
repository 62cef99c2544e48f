"""A node's hardware: the memory that holds its registers, and how long its processor takes and errs.

Descriptions alone, frozen, checked when they are made and cheap to import; what works by them is
`nodes.processor`, and the mathematics of its errors is in `quantum.noise.noisy` and `quantum.noise.readout`.
Everything is perfect and takes no time unless it is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ketwire.channels.parts import Gates, Memory
from ketwire.channels.presets import SECONDARY
from ketwire.channels.timing import CLOCK_END_PS

TIMES = ("prepare_ps", "gate1_ps", "gate2_ps", "readout_ps")
ERRORS = ("p_prepare", "p_gate1", "p_gate2", "p_readout")
OF_READING = ("gate1_ps", "gate2_ps", "readout_ps", "p_gate1", "p_gate2", "p_readout")


@dataclass(frozen=True)
class Hardware:
    """What one node is made of.

    memory:     T1 and T2 of its registers, while they wait and while they are worked on
    prepare_ps: to bring a register to |0...0>; what a state then takes to load, gates count
    gate1_ps, gate2_ps: of a gate on one or two qubits; greater ones are made of these (`quantum.noise.noisy`)
    readout_ps: to measure a register, or the flag of a contraction
    p_prepare:  depolarizing of each qubit that is prepared, ρ -> (1-p) ρ + p 1/2
    p_gate1, p_gate2: depolarizing of the qubit, or of both qubits together, ρ -> (1-p) ρ + p 1/4, after a gate
    p_readout:  each bit that is read is the wrong one (`quantum.noise.readout`); where the two values differ in that,
                the probabilities to read 1 where there was 0, and 0 where there was 1
    message_ps: to process a classical message that is received; it keeps no qubit busy

    Raises:
        ValueError: a value that no hardware has; the message starts with the field's name.
    """

    memory: Memory = field(default_factory=Memory)
    prepare_ps: int = 0
    gate1_ps: int = 0
    gate2_ps: int = 0
    readout_ps: int = 0
    p_prepare: float = 0.0
    p_gate1: float = 0.0
    p_gate2: float = 0.0
    p_readout: float | tuple[float, float] = 0.0
    message_ps: int = 0

    def __post_init__(self) -> None:
        for name in (*TIMES, "message_ps"):
            value = getattr(self, name)
            if not (isinstance(value, int) and 0 <= value < CLOCK_END_PS):
                raise ValueError(f"{name}: {value!r} given, expected whole picoseconds from 0 to below 2^62")
        for name in ERRORS:
            value = getattr(self, name)
            if not all(0 <= each <= 1 for each in (value if isinstance(value, tuple) else (value,))):
                raise ValueError(f"{name}: {value!r} given, expected a probability, 0 to 1")
        if isinstance(self.p_readout, tuple) and self.p_readout[0] == self.p_readout[1]:
            object.__setattr__(self, "p_readout", self.p_readout[0])  # so that two zeros are no error

    @property
    def misreads(self) -> tuple[float, float]:
        """Probability to read 1 where there was 0, and 0 where there was 1."""
        return self.p_readout if isinstance(self.p_readout, tuple) else (self.p_readout, self.p_readout)

    @property
    def gates(self) -> Gates:
        """What works on halves of pairs here."""
        return Gates(self.gate1_ps, self.gate2_ps, self.readout_ps, self.p_gate1, self.p_gate2, self.misreads)

    @property
    def takes_time(self) -> bool:
        """Whether anything keeps the processor busy."""
        return any(getattr(self, name) for name in TIMES)

    @property
    def reads_perfectly(self) -> bool:
        """Whether gates and readouts take no time and never err; preparation and memory may be what they are."""
        return not any(getattr(self, name) for name in OF_READING)

    @property
    def is_perfect(self) -> bool:
        """Whether registers come to no harm and wait for nothing here, however long messages take."""
        return not self.takes_time and self.memory.is_perfect and not any(getattr(self, name) for name in ERRORS)


@dataclass(frozen=True)
class Preset:
    """Hardware that can be named, and where the numbers come from.

    source:   the publications, in one line
    sources:  by key of `nodes`, where its number comes from
    left_out: what the source does not say and therefore is ideal here
    """

    hardware: Hardware
    source: str
    sources: Mapping[str, str] = field(default_factory=dict)
    left_out: str = ""


_IONS, _CENTRE = "Avis 2022, A.6", "Avis 2022, A.5"
_SQUIDASM = f"SquidASM after {_CENTRE}; {SECONDARY}"

HARDWARE: dict[str, Preset] = {
    "ideal": Preset(Hardware(), "takes no time, makes no errors, holds without limit"),
    "trapped-ion": Preset(
        Hardware(
            Memory(t2_ps=85e9, gaussian=True),
            prepare_ps=36_000_000,
            gate1_ps=26_600_000,
            gate2_ps=107_000_000,
            readout_ps=1_500_000_000,
            p_gate1=0.02,
            p_gate2=0.1,
        ),
        "Avis et al., arXiv 2207.10579 (2022), appendix A.6, which states no uncertainties",
        {
            "t2_s": _IONS,
            "t2_shape": f"the source has e^(-(t/T2)^2); {_IONS}; {SECONDARY}",
            "prepare_s": f"{_IONS}; {SECONDARY}",
            "gate1_s": _IONS,
            "gate2_s": _IONS,
            "readout_s": _IONS,
            "p_gate1": f"depolarizing; {_IONS}; {SECONDARY}",
            "p_gate2": f"depolarizing; {_IONS}",
        },
        "relaxation, errors of preparation and readout",
    ),
    # Where the electron and the carbons differ, the worse number stands, as a node here has one kind of qubit.
    "color-center": Preset(
        Hardware(
            Memory(t1_ps=3.6e15, t2_ps=5e11),
            prepare_ps=300_000_000,
            gate1_ps=20_000_000,
            gate2_ps=500_000_000,
            readout_ps=3_700_000,
            p_prepare=0.02,
            p_gate1=0.01,
            p_gate2=0.06,
            p_readout=(0.07, 0.005),
        ),
        "Avis et al., arXiv 2207.10579 (2022), appendix A.5, which states no uncertainties; where electron and carbon "
        "differ, the worse number",
        {
            "t1_s": f"of the electron, carbons hold ten hours; {_CENTRE}",
            "t2_s": f"of the electron, carbons hold a second; {_CENTRE}",
            "prepare_s": f"of a carbon, the electron takes 2 us; {_SQUIDASM}",
            "gate1_s": f"a carbon about z, the electron takes 5 ns; {_SQUIDASM}",
            "gate2_s": _SQUIDASM,
            "readout_s": _SQUIDASM,
            "p_prepare": f"of a carbon, the electron has 0.01; {_SQUIDASM}",
            "p_gate1": f"of the electron, a carbon about z has 0.002; {_SQUIDASM}",
            "p_gate2": _SQUIDASM,
            "p_readout": f"which of the two outcomes errs more is a guess; {_SQUIDASM}",
        },
    ),
}


def told(hardware: Hardware) -> dict[str, Any]:
    """Hardware as JSON values, for the process that is to be it."""
    return asdict(hardware)


def hardware_of(values: dict[str, Any]) -> Hardware:
    """The hardware that `told` told of."""
    misread = values["p_readout"]
    return Hardware(
        **{
            **values,
            "memory": Memory(**values["memory"]),
            "p_readout": tuple(misread) if isinstance(misread, list) else misread,
        }
    )
