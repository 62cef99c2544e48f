
"""Vector instructions for the fused engine, as numba intrinsics (imported only by `fused`).

A register is read as interleaved float64 (re, im, re, im, ...), eight at a time: one vector holds
four neighbouring amplitudes, so the two last qubits live *inside* a vector and all others *between*
vectors. Eight lanes are one AVX-512 register; on narrower machines LLVM splits them.

A rotation R_y(θ), cos(θ/2) >= 0, is three shears (its determinant is one):

    [[c, -s], [s, c]] = [[1, p], [0, 1]] [[1, 0], [s, 1]] [[1, p], [0, 1]],   p = -s / (1 + c)

so it costs three fused multiply-adds per pair, no shuffles, and |p| <= 1 keeps it stable.

Numba decides by the time stamp of `fused.py` alone whether its kept machine code is still good: after
a change here, touch that file.
"""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8
_HALF = 4  # lanes of a rotation at a time: sixteen registers of AVX2 hold eight vectors of these and the angles
_F64 = ir.DoubleType()
_I32 = ir.IntType(32)


class _Emitter:
    """Writes vector instructions into one function under construction."""

    def __init__(self, context: Any, builder: Any, lanes: int = LANES) -> None:
        self.context, self.builder, self.lanes = context, builder, lanes
        self._vector = ir.VectorType(_F64, lanes)

    def data(self, array_type: Any, array: Any) -> Any:
        return self.context.make_array(array_type)(self.context, self.builder, array).data

    def _pointer(self, data: Any, index: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(data, [index]), self._vector.as_pointer())

    def at(self, start: Any, stride: Any, number: int, part: int) -> Any:
        """Where the vector of this number begins, or a later part of it."""
        constant = [self.context.get_constant(types.intp, value) for value in (number, part)]
        return self.builder.add(self.builder.add(start, self.builder.mul(stride, constant[0])), constant[1])

    def load(self, data: Any, index: Any) -> Any:
        # Arrays of complex128 are promised no more than 8-octet alignment.
        return self.builder.load(self._pointer(data, index), align=8)

    def store(self, value: Any, data: Any, index: Any) -> None:
        self.builder.store(value, self._pointer(data, index), align=8)

    def shuffle(self, value: Any, order: list[int]) -> Any:
        mask = ir.Constant(ir.VectorType(_I32, self.lanes), [ir.Constant(_I32, lane) for lane in order])
        return self.builder.shuffle_vector(value, ir.Constant(self._vector, ir.Undefined), mask)

    def broadcast(self, scalar: Any) -> Any:
        undefined = ir.Constant(self._vector, ir.Undefined)
        return self.shuffle(self.builder.insert_element(undefined, scalar, ir.Constant(_I32, 0)), [0] * self.lanes)

    def multiply(self, left: Any, right: Any) -> Any:
        return self.builder.fmul(left, right)

    def multiply_add(self, left: Any, right: Any, addend: Any) -> Any:
        kind = ir.FunctionType(self._vector, [self._vector] * 3)
        insert: Any = cgutils.get_or_insert_function
        function = insert(self.builder.module, kind, f"llvm.fmuladd.v{self.lanes}f64")
        return self.builder.call(function, [left, right, addend])

    def signs(self, pattern: list[float]) -> Any:
        return ir.Constant(self._vector, [ir.Constant(_F64, sign) for sign in pattern])


_SWAP_HALVES = [4, 5, 6, 7, 0, 1, 2, 3]
_SWAP_QUARTERS = [2, 3, 0, 1, 6, 7, 4, 5]
_SWAP_PARTS = [1, 0, 3, 2, 5, 4, 7, 6]  # real and imaginary parts
_REAL, _IMAGINARY = [0, 0, 2, 2, 4, 4, 6, 6], [1, 1, 3, 3, 5, 5, 7, 7]


def _radix(qubits: int) -> Any:
    """An intrinsic that rotates `qubits` neighbouring qubits in 2**qubits vectors, `stride` apart.

    It reads them from `source` at `at` and writes them to `target` at `to`, `to_stride` apart.
    """

    @intrinsic
    def rotate(typing_context, source, at, stride, target, to, to_stride, shears):  # type: ignore[no-untyped-def]
        signature = types.void(source, types.intp, types.intp, target, types.intp, types.intp, shears)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            emit = _Emitter(context, builder, _HALF)
            turns = [emit.broadcast(builder.extract_value(args[6], i)) for i in range(2 * qubits)]
            for part in range(0, LANES, _HALF):
                read, written = (
                    (emit.data(signature.args[i], args[i]),
                     [emit.at(args[i + 1], args[i + 2], k, part) for k in range(2**qubits)])
                    for i in (0, 3))
                x = [emit.load(read[0], index) for index in read[1]]
                for qubit in range(qubits):
                    p, s = turns[2 * qubit : 2 * qubit + 2]
                    step = 2 ** (qubits - 1 - qubit)
                    for i in range(2**qubits):
                        if i & step == 0:
                            x[i] = emit.multiply_add(p, x[i + step], x[i])
                            x[i + step] = emit.multiply_add(s, x[i], x[i + step])
                            x[i] = emit.multiply_add(p, x[i + step], x[i])
                for value, index in zip(x, written[1], strict=True):
                    emit.store(value, written[0], index)
            return context.get_dummy_value()

        return signature, codegen

    return rotate


def _finish(with_high: bool) -> Any:
    """An intrinsic for one vector: rotate the last two qubits, then multiply by the diagonal.

    `turn` holds (c, s) of the qubits n-2 and n-1 and the high part (re, im) of the diagonal; `table`
    holds (re, im) of its low part for each amplitude.
    """

    @intrinsic
    def finish(typing_context, source, at, target, to, table, low_at, turn):  # type: ignore[no-untyped-def]
        signature = types.void(source, types.intp, target, types.intp, table, types.intp, turn)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            emit = _Emitter(context, builder)
            source_data, target_data, table_data = (emit.data(signature.args[i], args[i]) for i in (0, 2, 4))
            scalar = [emit.broadcast(builder.extract_value(args[6], i)) for i in range(6)]
            x = emit.load(source_data, args[1])
            for (c, s), order, signs in (
                (scalar[0:2], _SWAP_HALVES, [-1.0] * 4 + [1.0] * 4),
                (scalar[2:4], _SWAP_QUARTERS, [-1.0, -1.0, 1.0, 1.0] * 2),
            ):
                crossing = emit.multiply(s, emit.signs(signs))
                x = emit.multiply_add(crossing, emit.shuffle(x, order), emit.multiply(c, x))
            low = emit.load(table_data, args[5])
            crossing = emit.multiply(emit.shuffle(low, _IMAGINARY), emit.signs([-1.0, 1.0] * 4))
            x = emit.multiply_add(crossing, emit.shuffle(x, _SWAP_PARTS), emit.multiply(emit.shuffle(low, _REAL), x))
            if with_high:
                crossing = emit.multiply(scalar[5], emit.signs([-1.0, 1.0] * 4))
                x = emit.multiply_add(crossing, emit.shuffle(x, _SWAP_PARTS), emit.multiply(scalar[4], x))
            emit.store(x, target_data, args[3])
            return context.get_dummy_value()

        return signature, codegen

    return finish


rotate_1, rotate_2, rotate_3 = (_radix(qubits) for qubits in (1, 2, 3))
finish_low, finish_both = _finish(False), _finish(True)
