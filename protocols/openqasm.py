"""OpenQASM 3 programs as circuits: unitary ones, on one register, with `input` parameters as slots.

The parser is the language's own reference library (`openqasm3`, the extra `qasm`), imported when a layer
asks for it. Qubits are counted in the order of their declaration; the first is qubit 0, the most
significant. An angle may be an expression that is linear in the inputs: `2 * theta - phi + pi / 4`. Gates are
those of stdgates.inc with a fixed matrix or an angle, and whatever the program defines of them; global
phases are left out, as no expectation value sees them. What measures, resets, branches or loops is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ketwire.errors import ScenarioError
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gates import Gate

MOST_GATES = 100_000  # and as many uses of definitions
MOST_DEPTH = 64  # of definitions within definitions, and of parentheses
CONSTANTS = {"pi": math.pi, "π": math.pi, "tau": math.tau, "τ": math.tau, "euler": math.e, "ℇ": math.e}


@dataclass(frozen=True)
class Linear:
    """offset + Σ scale · parameters[slot]; no terms for a number.

    terms: (slot, scale), each slot once.
    """

    offset: float
    terms: tuple[tuple[int, float], ...] = ()

    def times(self, factor: float) -> Linear:
        return Linear(self.offset * factor, tuple((slot, scale * factor) for slot, scale in self.terms))

    def plus(self, other: Linear) -> Linear:
        sums = dict(self.terms)
        for slot, scale in other.terms:
            sums[slot] = sums.get(slot, 0.0) + scale
        return Linear(self.offset + other.offset, tuple(sums.items()))


def circuit_of(text: str) -> Circuit:
    """The circuit of a program; its parameters are the `input` declarations, in their order.

    Raises:
        ScenarioError: the parser is not installed.
        ValueError: no program, or one that is no unitary circuit; the message says what and in which line.
    """
    try:
        import openqasm3  # noqa: PLC0415
        from openqasm3.parser import QASM3ParsingError  # noqa: PLC0415
    except ImportError:
        raise ScenarioError(
            "a layer in OpenQASM needs its parser, which is not installed; expected it there "
            "(pip install 'ketwire[qasm]')"
        ) from None
    try:
        parse: Any = openqasm3.parse
        program = parse(text)
    except (QASM3ParsingError, RecursionError) as error:
        told = " ".join(str(error).split()) or "it does not parse"
        raise ValueError(f"{told[:200]}, expected an OpenQASM 3 program") from None
    return _Reader().read(program.statements)


class _Reader:
    """What is known while a program is read."""

    def __init__(self) -> None:
        self.registers: dict[str, range] = {}
        self.values: dict[str, Linear] = {name: Linear(value) for name, value in CONSTANTS.items()}
        self.inputs = 0
        self.qubits = 0
        self.definitions: dict[str, Any] = {}
        self.gates: list[Gate] = []
        self._made = self._unfolded = 0

    def read(self, statements: Sequence[Any]) -> Circuit:
        for statement in statements:
            try:
                self._statement(statement)
            except ValueError as error:
                raise ValueError(f"line {_line(statement)}: {error}") from None
        if not self.qubits:
            raise ValueError("no qubits declared, expected a register: qubit[n] q;")
        return Circuit(self.qubits, tuple(self.gates), self.inputs)

    def _statement(self, statement: Any) -> None:
        kind = type(statement).__name__
        handlers: dict[str, Callable[[Any], None]] = {
            "Include": self._include,
            "QubitDeclaration": self._declare_qubits,
            "IODeclaration": self._declare_input,
            "ConstantDeclaration": self._declare_constant,
            "QuantumGateDefinition": self._define,
            "QuantumGate": self._apply_statement,
            "QuantumPhase": _leave_out,
            "QuantumBarrier": lambda _: None,
        }
        handler = handlers.get(kind)
        if handler is None:
            raise ValueError(f"{kind} given, expected gates, qubits, inputs, constants and definitions of gates alone")
        handler(statement)

    def _include(self, statement: Any) -> None:
        if statement.filename != "stdgates.inc":
            raise ValueError(f"include {statement.filename!r} given, expected stdgates.inc")

    def _claim(self, name: str) -> str:
        """A name that nothing has yet; gates of stdgates.inc may be defined anew."""
        if name in self.registers or name in self.values or name in self.definitions:
            raise ValueError(f"{name} declared a second time, expected a name of its own")
        return name

    def _declare_qubits(self, statement: Any) -> None:
        count = 1 if statement.size is None else self._whole(statement.size, {})
        if not 1 <= count <= 30:
            raise ValueError(f"{count} qubits declared, expected 1 to 30")
        self.registers[self._claim(statement.qubit.name)] = range(self.qubits, self.qubits + count)
        self.qubits += count

    def _declare_input(self, statement: Any) -> None:
        if statement.io_identifier.name != "input":
            raise ValueError("output given, expected inputs alone")
        if type(statement.type).__name__ not in ("FloatType", "AngleType"):
            raise ValueError(f"input {statement.identifier.name} given, expected a float or an angle")
        self.values[self._claim(statement.identifier.name)] = Linear(0.0, ((self.inputs, 1.0),))
        self.inputs += 1

    def _declare_constant(self, statement: Any) -> None:
        self.values[self._claim(statement.identifier.name)] = self._value(statement.init_expression, self.values)

    def _define(self, statement: Any) -> None:
        own = [each.name for each in (*statement.arguments, *statement.qubits)]
        twice = next((name for place, name in enumerate(own) if name in own[:place]), None)
        if twice is not None:
            raise ValueError(f"{twice} given twice in gate {statement.name.name}, expected distinct names")
        self.definitions[self._claim(statement.name.name)] = statement

    def _apply_statement(self, statement: Any) -> None:
        for where in self._broadcast(statement.qubits):
            self.gates += self._gates(statement, where, self.values, 0)

    def _broadcast(self, operands: Sequence[Any]) -> Iterator[tuple[int, ...]]:
        """The qubits of each application: a register stands for its qubits, one after the other."""
        groups = [self._operand(operand) for operand in operands]
        lengths = {len(group) for group in groups if isinstance(group, range)}
        if len(lengths) > 1:
            raise ValueError("registers of different sizes in one gate, expected equal ones")
        for place in range(lengths.pop() if lengths else 1):
            yield tuple(group[place] if isinstance(group, range) else group for group in groups)

    def _operand(self, operand: Any) -> range | int:
        name = operand.name if isinstance(operand.name, str) else operand.name.name
        if name not in self.registers:
            raise ValueError(f"qubit {name} given, expected one of {', '.join(self.registers) or 'none declared'}")
        register = self.registers[name]
        if not hasattr(operand, "indices"):
            return register
        if len(operand.indices) != 1 or not isinstance(operand.indices[0], list) or len(operand.indices[0]) != 1:
            raise ValueError(f"an index of {name} that is no number, expected one: {name}[0]")
        index = self._whole(operand.indices[0][0], self.values)
        if not -len(register) <= index < len(register):
            raise ValueError(f"{name}[{index}] given, expected an index below {len(register)}")
        return register[index]

    def _gates(self, statement: Any, where: tuple[int, ...], values: Mapping[str, Linear], depth: int) -> list[Gate]:
        """One gate on these qubits, definitions expanded."""
        name = statement.name.name
        _check_modifiers(statement, name)
        if depth > MOST_DEPTH:
            raise ValueError(f"gate {name} is defined by more than {MOST_DEPTH} others, expected fewer")
        if len(set(where)) != len(where):
            raise ValueError(f"gate {name} on one qubit twice, expected distinct ones")
        try:
            angles = [self._value(argument, values) for argument in statement.arguments]
        except ValueError as error:
            raise ValueError(f"gate {name}: {error}") from None
        # Counted while it unfolds: definitions that double would be beyond all bounds before they are all made.
        if name in self.definitions:
            self._unfolded += 1
            self._check_count()
            made = self._expanded(self.definitions[name], where, angles, depth)
        else:
            made = standard(name, where, angles)
            self._made += len(made)
            self._check_count()
        if len(statement.modifiers) % 2:
            made = [gate.inverse() for gate in reversed(made)]
        return made

    def _check_count(self) -> None:
        if max(self._made, self._unfolded) > MOST_GATES:
            raise ValueError(f"more than {MOST_GATES} gates, expected fewer")

    def _expanded(self, definition: Any, where: tuple[int, ...], angles: list[Linear], depth: int) -> list[Gate]:
        name, wanted = definition.name.name, [argument.name for argument in definition.arguments]
        places = {qubit.name: index for qubit, index in zip(definition.qubits, where, strict=False)}
        if len(angles) != len(wanted) or len(where) != len(definition.qubits):
            raise ValueError(f"gate {name} with {len(angles)} angles on {len(where)} qubits, expected {len(wanted)} "
                             f"on {len(definition.qubits)}")  # fmt: skip
        values = {**self.values, **dict(zip(wanted, angles, strict=True))}
        made: list[Gate] = []
        for each in definition.body:
            kind = type(each).__name__
            if kind == "QuantumGate":
                inner = tuple(_place(each, qubit, name, places) for qubit in each.qubits)
                made += self._gates(each, inner, values, depth + 1)
            elif kind == "QuantumPhase":
                _leave_out(each)
            elif kind != "QuantumBarrier":
                raise ValueError(f"{kind} in gate {name}, expected gates alone")
        return made

    def _whole(self, expression: Any, values: Mapping[str, Linear]) -> int:
        value = self._value(expression, values)
        if value.terms or not math.isfinite(value.offset) or value.offset != int(value.offset):
            raise ValueError("a number that is not whole, expected a whole one")
        return int(value.offset)

    def _value(self, expression: Any, values: Mapping[str, Linear], depth: int = 0) -> Linear:
        """A number, or something linear in inputs."""
        kind = type(expression).__name__
        if depth > MOST_DEPTH:
            raise ValueError("an expression too deep, expected a simpler one")
        if kind in ("IntegerLiteral", "FloatLiteral"):
            try:
                return Linear(float(expression.value))
            except OverflowError:
                raise ValueError("a number beyond all bounds, expected a finite one") from None
        if kind == "Identifier":
            if expression.name not in values:
                raise ValueError(f"{expression.name} given, expected an input or a constant")
            return values[expression.name]
        if kind == "UnaryExpression" and expression.op.name == "-":
            return self._value(expression.expression, values, depth + 1).times(-1.0)
        if kind == "BinaryExpression":
            left, right = (self._value(side, values, depth + 1) for side in (expression.lhs, expression.rhs))
            return _combined(expression.op.name, left, right)
        raise ValueError(f"{kind} in an angle, expected numbers, inputs and + - * / of them")


def _place(statement: Any, operand: Any, definition: str, places: Mapping[str, int]) -> int:
    """The qubit that a gate in a definition is on."""
    if isinstance(operand.name, str) and operand.name in places:
        return places[operand.name]
    which = f"qubit {operand.name}" if isinstance(operand.name, str) else "an indexed qubit"
    told = f"gate {statement.name.name} in gate {definition} on {which}"
    raise ValueError(f"{told}, expected one of {', '.join(places)}")


def _leave_out(phase: Any) -> None:
    """A global phase, which nothing shows; under control it would be a gate."""
    _check_modifiers(phase, "gphase")


def _check_modifiers(statement: Any, name: str) -> None:
    for modifier in statement.modifiers:
        if modifier.modifier.name != "inv":
            raise ValueError(f"{modifier.modifier.name} @ {name} given, expected no modifier but inv")


def _combined(operator: str, left: Linear, right: Linear) -> Linear:
    if operator == "+":
        return left.plus(right)
    if operator == "-":
        return left.plus(right.times(-1.0))
    if operator == "*" and not (left.terms and right.terms):
        return left.times(right.offset) if left.terms else right.times(left.offset)
    if operator == "/" and not right.terms and right.offset != 0.0:
        return left.times(1.0 / right.offset)
    if operator == "**" and not left.terms and not right.terms:
        return Linear(_power(left.offset, right.offset))
    raise ValueError(f"{operator} in an angle, expected something linear in the inputs")


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except (OverflowError, ValueError):
        raise ValueError(f"{base:g} ** {exponent:g} given, expected a power that is a finite number") from None


# ---------------------------------------------------------------- stdgates.inc


def standard(name: str, where: tuple[int, ...], angles: Sequence[Linear]) -> list[Gate]:
    """The gates that stand for one of stdgates.inc, up to a global phase.

    Raises:
        ValueError: there is no such gate, or not for so many qubits and angles.
    """
    if name not in _STANDARD:
        raise ValueError(f"gate {name} given, expected one of {', '.join(sorted(_STANDARD))}, or one that is defined")
    qubits, count, make = _STANDARD[name]
    if (len(where), len(angles)) != (qubits, count):
        given = f"gate {name} with {len(angles)} angles on {len(where)} qubits"
        raise ValueError(f"{given}, expected {count} on {qubits}")
    return make(where, angles)


Where = tuple[int, ...]
Make = Callable[[Where, Sequence[Linear]], list[Gate]]


def _angled(name: str, where: Where, angle: Linear) -> list[Gate]:
    """One gate for each input in the angle, all about one axis, so that they commute."""
    if not angle.terms:
        return [Gate(name, where, offset=angle.offset)]
    (slot, scale), *others = angle.terms
    return [Gate(name, where, (slot,), scale, angle.offset), *(Gate(name, where, (at,), by) for at, by in others)]


def _fixed(name: str) -> Make:
    return lambda where, angles: [Gate(name, where)]


def _turned(name: str) -> Make:
    return lambda where, angles: _angled(name, where, angles[0])


def _controlled_turn(letter: str) -> Make:
    """R_P(θ/2) R_ZP(-θ/2): the halves cancel where the control is |0>."""
    return lambda where, angles: [
        *_angled("r" + letter, where[1:], angles[0].times(0.5)),
        *_angled("rz" + letter, where, angles[0].times(-0.5)),
    ]


def _any_turn(where: Where, theta: Linear, phi: Linear, lam: Linear) -> list[Gate]:
    return [*_angled("rz", where, lam), *_angled("ry", where, theta), *_angled("rz", where, phi)]


def _cnot(a: int, b: int) -> Gate:
    return Gate("cnot", (a, b))


def _toffoli(where: Where, angles: Sequence[Linear]) -> list[Gate]:
    last = Gate("h", where[2:])
    return [last, Gate("diagonal", where, payload=np.array([1.0] * 7 + [-1.0])), last]


_HALF = Linear(math.pi / 2)
_STANDARD: dict[str, tuple[int, int, Make]] = {
    **{name: (1, 0, _fixed(name)) for name in ("x", "y", "z", "h", "s", "sdg", "t", "tdg")},
    "id": (1, 0, lambda where, angles: []),
    "sx": (1, 0, lambda where, angles: _angled("rx", where, _HALF)),
    **{name: (1, 1, _turned(name)) for name in ("rx", "ry", "rz")},
    **{name: (1, 1, _turned("phase")) for name in ("p", "phase", "u1")},
    "u2": (1, 2, lambda where, angles: _any_turn(where, _HALF, *angles)),
    **{name: (1, 3, lambda where, angles: _any_turn(where, *angles)) for name in ("u3", "U")},
    **{name: (2, 0, _fixed("cnot")) for name in ("cx", "CX", "cnot")},
    "cz": (2, 0, _fixed("cz")),
    "cy": (2, 0, lambda where, angles: [Gate("sdg", where[1:]), _cnot(*where), Gate("s", where[1:])]),
    "swap": (2, 0, lambda where, angles: [_cnot(*where), _cnot(*where[::-1]), _cnot(*where)]),
    **{name: (2, 1, _turned("phase")) for name in ("cp", "cphase")},
    **{f"cr{letter}": (2, 1, _controlled_turn(letter)) for letter in "xyz"},
    "ccx": (3, 0, _toffoli),
}


def _line(statement: Any) -> int:
    span = getattr(statement, "span", None)
    return span.start_line if span is not None else 0
