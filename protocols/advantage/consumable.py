"""Consumable data: many hidden matchings on the bits of one Alice, each of which uses up a copy.

A copy of n qubits answers one question and is gone; N bits that are sent once answer all of them. So the advantage
ends where the questions are about N/n (Gilboa, Jain and McClean, arXiv 2409.08495).
"""

from __future__ import annotations

from ketwire.protocols.advantage.hidden_matching import HiddenMatching


class Consumable(HiddenMatching):
    """The task `consumable`: a question for each copy, with a matching of its own."""

    def __init__(self, qubits: int, questions: int) -> None:
        super().__init__(qubits, questions)

    @property
    def break_even(self) -> float:
        """Questions at which the copies cost as many qubits as the bits that answer all."""
        return self.size / self.qubits
