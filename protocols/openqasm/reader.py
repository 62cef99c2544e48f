"""OpenQASM 3 programs as circuits: unitary ones, with `input` parameters as slots.

Qubits are counted in the order of their declaration; the first is qubit 0, the most significant. An angle may be an
expression that is linear in the inputs: `2 * theta - phi + pi / 4`. Gates are those of stdgates.inc and those that the
program defines of them, under the modifiers inv, ctrl, negctrl and pow. What measures, resets, branches or loops is
refused by name. A global phase of the whole program is left out, as no expectation value sees it; those within
definitions are kept, as they show under control.

Modules: openqasm_syntax (the parser, places in a program), openqasm_gates (stdgates.inc), openqasm_unitaries (what
modifiers do).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ketwire.protocols.openqasm.gates import ANGLED, ROOTS, power, standard
from ketwire.protocols.openqasm.syntax import parse, placed
from ketwire.protocols.openqasm.unitaries import Linear, Unitary, check_count
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gates import Gate

MOST_DEPTH = 64  # of definitions within definitions, of parentheses and of modifiers
CONSTANTS = {"pi": math.pi, "π": math.pi, "tau": math.tau, "τ": math.tau, "euler": math.e, "ℇ": math.e}
NUMBERS = ("IntType", "UintType", "FloatType", "AngleType")
CONTROLS = {"ctrl": 1, "negctrl": 0}

Where = tuple[int, ...]
Modifiers = Sequence[tuple[str, float]]


def circuit_of(text: str) -> Circuit:
    """The circuit of a program; its parameters are the `input` declarations, in their order.

    Raises:
        ScenarioError: the parser is not installed.
        ValueError: no program, or one that is no unitary circuit; the message names line and column.
    """
    return _Reader().read(parse(text))


class _Reader:
    """What is known while a program is read."""

    def __init__(self) -> None:
        self.registers: dict[str, range | int] = {}  # an int is a qubit on its own
        self.values: dict[str, Linear] = {name: Linear(value) for name, value in CONSTANTS.items()}
        self.inputs = 0
        self.qubits = 0
        self.definitions: dict[str, Any] = {}
        self.gates: list[Gate] = []
        self._made = self._unfolded = 0

    def read(self, statements: Sequence[Any]) -> Circuit:
        for statement in statements:
            with placed(statement):
                self._statement(statement)
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
            "QuantumPhase": self._apply_statement,
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
        """A name that nothing has yet; gates of stdgates.inc may be defined again."""
        if name in self.registers or name in self.values or name in self.definitions:
            raise ValueError(f"{name} declared a second time, expected a name of its own")
        return name

    def _declare_qubits(self, statement: Any) -> None:
        count = 1 if statement.size is None else self._whole(statement.size, self.values)
        if not 1 <= count <= 30:
            raise ValueError(f"{count} qubits declared, expected 1 to 30")
        alone = statement.size is None
        name = self._claim(statement.qubit.name)
        self.registers[name] = self.qubits if alone else range(self.qubits, self.qubits + count)
        self.qubits += count

    def _declare_input(self, statement: Any) -> None:
        if statement.io_identifier.name != "input":
            raise ValueError("output given, expected inputs alone")
        if type(statement.type).__name__ not in ("FloatType", "AngleType"):
            raise ValueError(f"input {statement.identifier.name} given, expected a float or an angle")
        self.values[self._claim(statement.identifier.name)] = Linear(0.0, ((self.inputs, 1.0),))
        self.inputs += 1

    def _declare_constant(self, statement: Any) -> None:
        name, kind = self._claim(statement.identifier.name), type(statement.type).__name__
        if kind not in NUMBERS:
            raise ValueError(f"constant {name} given, expected an int, uint, float or angle")
        value = self._value(statement.init_expression, self.values)
        if kind in ("IntType", "UintType"):
            whole = self._whole(statement.init_expression, self.values)
            if kind == "UintType" and whole < 0:
                raise ValueError(f"{whole} given for the uint {name}, expected 0 or more")
        self.values[name] = value

    def _define(self, statement: Any) -> None:
        own = [each.name for each in (*statement.arguments, *statement.qubits)]
        twice = next((name for place, name in enumerate(own) if name in own[:place]), None)
        if twice is not None:
            raise ValueError(f"{twice} given twice in gate {statement.name.name}, expected distinct names")
        self.definitions[self._claim(statement.name.name)] = statement

    def _apply_statement(self, statement: Any) -> None:
        for where in self._broadcast(statement.qubits):
            self.gates += self._unitary(statement, where, self.values, 0).gates
            check_count(len(self.gates))

    def _broadcast(self, operands: Sequence[Any]) -> Iterator[Where]:
        """The qubits of each application: a register stands for its qubits in turn, beside the same single qubits."""
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
        if isinstance(register, int):
            raise ValueError(f"an index of the single qubit {name} given, expected {name} alone")
        index_list = operand.indices[0]
        single = len(operand.indices) == 1 and isinstance(index_list, list) and len(index_list) == 1
        if not single or type(index_list[0]).__name__ == "RangeDefinition":
            raise ValueError(f"an index of {name} that is no number, expected one: {name}[0]")
        index = self._whole(index_list[0], self.values)
        if not -len(register) <= index < len(register):
            raise ValueError(f"{name}[{index}] given, expected an index below {len(register)}")
        return register[index]

    def _unitary(self, statement: Any, where: Where, values: Mapping[str, Linear], depth: int) -> Unitary:
        """One gate on these qubits, definitions expanded and modifiers applied."""
        name = _name(statement)
        if depth > MOST_DEPTH:
            raise ValueError(f"gate {name} is defined by more than {MOST_DEPTH} others, expected fewer")
        if len(set(where)) != len(where):
            raise ValueError(f"gate {name} on one qubit twice, expected distinct ones")
        if getattr(statement, "duration", None) is not None:
            raise ValueError(f"gate {name} with a duration given, expected none")
        try:
            arguments = [statement.argument] if name == "gphase" else statement.arguments
            angles = [self._value(argument, values) for argument in arguments]
        except ValueError as error:
            raise ValueError(f"gate {name}: {error}") from None
        modifiers = self._modifiers(statement, name, values)

        def alone(on: Where, exponent: float | None) -> Unitary:
            # Counted while it unfolds: definitions that double would be beyond all bounds before they are all made.
            if name in self.definitions:
                self._unfolded += 1
                check_count(self._unfolded)
                return self._expanded(self.definitions[name], on, angles, depth)
            made = standard(name, on, angles) if exponent is None else power(name, on, angles, exponent)
            self._made += len(made.gates)
            check_count(self._made)
            return made

        return self._modified(name, modifiers, where, alone)

    def _modifiers(self, statement: Any, name: str, values: Mapping[str, Linear]) -> Modifiers:
        """Each modifier with its number: of controls, or the exponent."""
        if len(statement.modifiers) > MOST_DEPTH:
            raise ValueError(f"gate {name} with more than {MOST_DEPTH} modifiers, expected fewer")
        read: list[tuple[str, float]] = []
        kinds = [each.modifier.name for each in statement.modifiers]
        for place, each in enumerate(statement.modifiers):
            kind, argument = each.modifier.name, each.argument
            with placed(each):
                if kind in CONTROLS:
                    count = 1 if argument is None else self._whole(argument, values)
                    if count < 1:
                        raise ValueError(f"{kind}({count}) @ {name} given, expected one control or more")
                    read.append((kind, count))
                elif kind == "pow":
                    exponent = self._value(argument, values)
                    if exponent.terms or not math.isfinite(exponent.offset):
                        raise ValueError(f"pow @ {name} given, expected an exponent that is a finite number")
                    self._check_power(name, kinds[place + 1 :], exponent.offset)
                    read.append((kind, exponent.offset))
                else:
                    read.append((kind, 1))
        return read

    def _check_power(self, name: str, later: Sequence[str], exponent: float) -> None:
        """Refuse an exponent that is not whole where no such power is known; `later` modifiers act before it."""
        if exponent == int(exponent):
            return
        given = f"pow({exponent:g}) @ {name} given, expected a whole exponent"
        if name in self.definitions or name not in ANGLED | ROOTS.keys():
            raise ValueError(f"{given}: others are known of {', '.join(sorted(ANGLED | ROOTS.keys()))} alone")
        if not _before_gate(later):
            raise ValueError(f"{given}, or pow @ right before the gate and its controls")

    def _modified(
        self, name: str, modifiers: Modifiers, where: Where, alone: Callable[[Where, float | None], Unitary],
        exponent: float | None = None,
    ) -> Unitary:  # fmt: skip
        """The first modifier acts last; its controls are the first qubits."""
        if not modifiers:
            return alone(where, exponent)
        (kind, number), *rest = modifiers
        if kind in CONTROLS:
            return self._under_controls(name, modifiers, where, alone, exponent)
        if kind == "inv":
            return self._modified(name, rest, where, alone).inverse()
        known = name not in self.definitions and (name in ANGLED or number != int(number))
        if known and _before_gate([each for each, _ in rest]):
            return self._modified(name, rest, where, alone, number)
        return self._modified(name, rest, where, alone).repeated(int(number))

    def _under_controls(
        self, name: str, modifiers: Modifiers, where: Where, alone: Callable[[Where, float | None], Unitary],
        exponent: float | None,
    ) -> Unitary:  # fmt: skip
        """All controls up to the next other modifier at once, which takes fewer gates than one after the other."""
        on: list[int] = []
        wanted = 0
        while modifiers and modifiers[0][0] in CONTROLS:
            (kind, number), *modifiers = modifiers
            wanted += int(number)
            if len(where) < wanted + (name != "gphase"):
                raise ValueError(f"gate {name} on {len(where)} qubits, expected {wanted} controls and then its own")
            on += [CONTROLS[kind]] * int(number)
        made = self._modified(name, modifiers, where[wanted:], alone, exponent)
        return made.under(list(zip(where[:wanted], on, strict=True)))

    def _expanded(self, definition: Any, where: Where, angles: list[Linear], depth: int) -> Unitary:
        name, wanted = definition.name.name, [argument.name for argument in definition.arguments]
        places = {qubit.name: index for qubit, index in zip(definition.qubits, where, strict=False)}
        if len(angles) != len(wanted) or len(where) != len(definition.qubits):
            raise ValueError(f"gate {name} with {len(angles)} angles on {len(where)} qubits, expected {len(wanted)} "
                             f"on {len(definition.qubits)}")  # fmt: skip
        values = {**self.values, **dict(zip(wanted, angles, strict=True))}
        gates: list[Gate] = []
        phase = Linear(0.0)
        for each in definition.body:
            kind = type(each).__name__
            with placed(each):
                if kind in ("QuantumGate", "QuantumPhase"):
                    inner = tuple(_place(each, qubit, name, places) for qubit in each.qubits)
                    made = self._unitary(each, inner, values, depth + 1)
                    gates += made.gates
                    phase = phase.plus(made.phase)
                    check_count(len(gates))
                elif kind != "QuantumBarrier":
                    raise ValueError(f"{kind} in gate {name}, expected gates alone")
        return Unitary(tuple(gates), phase)

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
    told = f"gate {_name(statement)} in gate {definition} on {which}"
    raise ValueError(f"{told}, expected one of {', '.join(places)}")


def _name(statement: Any) -> str:
    """The name of the gate that a statement applies; a global phase is one on no qubits."""
    return "gphase" if type(statement).__name__ == "QuantumPhase" else str(statement.name.name)


def _before_gate(modifiers: Sequence[str]) -> bool:
    """Whether a power before these modifiers is one of the gate itself: controls commute with it."""
    return all(kind in CONTROLS for kind in modifiers)


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
