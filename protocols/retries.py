"""Which copies of a stream are emitted next, and what the last party must tell the others for that.

A stream wants K measured copies of every item, and a copy arrives with probability p. All parties keep the same account
of each item: at least `least` and at most `most` copies of it are missing. They plan a round from it alone:

- a round emits for each item at least the `least` copies that are missing for certain (`planned`);
- the last party tells what is missing, in at most one bit an item, or in `NUMBER_BITS` if these are more
  (`Retries.question`);
- and so on until nothing is missing.

With `margin` 0 a round emits exactly `least`, so no surplus copy arrives, and K/p are emitted in the mean. A number m
emits least · (1 + m (1/p - 1)): with m = 1 as many as make up for the losses to be expected. `auto` weighs the time of
another round against that of more copies, under a bound: of the copies expected to arrive, one in five at most is
expected to be surplus. As those that are not surplus are K in the end, the rule emits at most 1.25 K/p in the mean.

p is that of the path; where so few arrived, over all items, that it cannot be right (flags of contractions, which their
owner alone can predict), it is what was seen over all items together.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import RemoteProtocolError

AUTO_COPIES = 1.25
NUMBER_BITS = 32
ROUND_COPIES = 1e6
SURE = 3.0
"""Standard deviations by which fewer copies must have arrived than the path lets through, before p is doubted."""
MOST_SUMMED = 4096
"""Missing copies up to which the bound of `auto` is worked out; beyond, its margin is far below the bound."""

Integers = NDArray[np.int64]


class Question(NamedTuple):
    """What the last party tells after a round, `bits` for each of the items that are open.

    How many copies are missing; or, with thresholds, whether that many or more are.
    """

    items: Integers
    bits: int
    thresholds: Integers | None

    def answer(self, missing: Integers) -> Integers:
        """int64, shape (open items,); missing: of all items."""
        missing = missing[self.items]
        return missing if self.thresholds is None else (missing >= self.thresholds).astype(np.int64)


class Retries:
    """What all parties know alike of a stream.

    want: copies of each of `items` items. survival: of a copy, where nothing is lost that is not foretold.
    margin: a number from 0 up, or None for `auto`. round_copies: how many copies could be emitted while a report
    goes to the first party and a copy goes to the last.
    """

    def __init__(
        self, want: int, items: int, survival: float, margin: float | None, round_copies: float = ROUND_COPIES
    ) -> None:
        self._want, self._survival, self._p = want, survival, survival
        self._margin, self._round_copies = margin, round_copies
        self.least: Integers = np.full(items, want, dtype=np.int64)
        self.most: Integers = self.least.copy()
        self.attempted: Integers = np.zeros(items, dtype=np.int64)
        self._emitted: Integers = self.attempted.copy()
        self._foretold = 0.0

    @property
    def done(self) -> bool:
        return not self.most.any()

    @property
    def needed(self) -> float:
        """Copies that must be emitted in the mean, K/p of each item."""
        return self._want * len(self.least) / self._p

    @property
    def known(self) -> int:
        """Copies that are known to have come and to be of use."""
        return int((self._want - self.most).sum())

    def emit(self) -> Integers:
        """Plan the next round: copies of each item, int64, shape (items,).

        It may be nothing at all where all that is known is that few are missing; then the last party is asked again.
        """
        self._emitted, groups = planned(self.least, self._p, self._margin, self._round_copies)
        self.attempted = self.attempted + self._emitted
        for emitted, missing, count in groups:
            self._foretold += count * useful(emitted, missing, self._survival)
        return self._emitted

    def question(self) -> Question:
        """What is to be told of the round that was planned last."""
        items = np.flatnonzero(self.most)
        most, emitted = self.most[items], self._emitted[items]
        bits = int(most.max(initial=1)).bit_length()
        if bits * len(items) <= max(len(self.most), NUMBER_BITS):
            return Question(items, bits, None)
        # About as many as are missing if the usual share arrived; or half, where nothing was emitted.
        likely = np.where(emitted > 0, np.floor(most - emitted * self._p), (most + 1) // 2)
        least = np.maximum(self.least[items] - emitted, 0) + 1
        return Question(items, 1, np.minimum(np.maximum(likely, least), np.maximum(least, most)).astype(np.int64))

    def told(self, question: Question, values: Integers, teller: str) -> None:
        """Take the answer of `teller`.

        Raises:
            RemoteProtocolError: it contradicts what is known.
        """
        items, thresholds = question.items, question.thresholds
        least, most = np.maximum(self.least[items] - self._emitted[items], 0), self.most[items]
        if values.shape != items.shape:
            raise RemoteProtocolError(f"{teller} reported of {len(values)} items, expected {len(items)}")
        low, high = (least, most) if thresholds is None else (0, 1)
        if ((values < low) | (values > high)).any():
            raise RemoteProtocolError(f"{teller} reported other numbers of missing copies than there can be")
        if thresholds is None:
            least = most = values
        else:
            yes = values > 0
            least, most = np.where(yes, thresholds, least), np.where(yes, most, thresholds - 1)
        self.least[items], self.most[items] = least, most
        self._judge()

    def came(self, arrived: int) -> None:
        """Take from somewhere else how many copies of the only item arrived in the round that was planned last."""
        self.least = self.most = np.maximum(self.most - arrived, 0)
        self._judge()

    def _judge(self) -> None:
        """Doubt the survival of the path, where all numbers are known, or trust it again."""
        if (self.least < self.most).any():
            return
        foretold, known = self._foretold, self.known
        doubtful = known < foretold - SURE * math.sqrt(foretold * (1.0 - self._survival)) - 1.0
        seen = (known + 1.0) / (float(self.attempted.sum()) + 1.0 / self._survival)
        self._p = min(seen, self._survival) if doubtful else self._survival


def planned(
    missing: Integers, p: float, margin: float | None, round_copies: float = ROUND_COPIES
) -> tuple[Integers, list[tuple[int, int, int]]]:
    """Copies of each item that a round emits, int64, shape (items,); missing: of each item.

    And how many items emit and miss alike: (emitted, missing, items), ascending.
    """
    if margin is None:
        alike, which, counts = np.unique(missing, return_inverse=True, return_counts=True)
        emits = [weighed(each, p, round_copies) for each in alike.tolist()]
        groups = list(zip(emits, alike.tolist(), counts.tolist(), strict=True))
        return np.array(emits, dtype=np.int64)[which], groups
    # Rounded over all items together: half a copy an item is one for every other item.
    sums = np.floor(np.cumsum(missing * (margin * (1.0 / p - 1.0))) + 0.5).astype(np.int64)
    emitted = np.asarray(missing + np.diff(sums, prepend=0))
    # Those alike are found by one number for both: sorting pairs takes far longer.
    width = int(missing.max(initial=0)) + 1
    alike, counts = np.unique(emitted * width + missing, return_counts=True)
    return emitted, [(*divmod(pair, width), count) for pair, count in zip(alike.tolist(), counts.tolist(), strict=True)]


@lru_cache(maxsize=4096)
def weighed(missing: int, p: float, round_copies: float) -> int:
    """The copies of an item that `auto` emits where so many are missing.

    T copies fail to bring them with a probability of about Φ(-z), T = (missing + z √(missing (1-p))) / p, and then
    cost another round. T + round_copies Φ(-z) is least where φ(z) = √(missing (1-p)) / (p round_copies). Never so
    many that more than 1 - 1/1.25 of those that arrive are surplus.
    """
    if missing == 0 or p >= 1.0:
        return missing
    spread = math.sqrt(missing * (1.0 - p))
    z = math.sqrt(2.0 * math.log(max(round_copies * p / (spread * math.sqrt(2.0 * math.pi)), 1.0)))
    # A little less, as whole numbers are met exactly and all parties must find the same one.
    high = max(math.ceil((missing + z * spread) / p - 1e-9), missing)
    if missing > MOST_SUMMED or _is_bounded(high, missing, p):
        return high
    low = missing
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _is_bounded(middle, missing, p) else (low, middle)
    return low


def _is_bounded(emitted: int, missing: int, p: float) -> bool:
    return emitted * p <= AUTO_COPIES * (1.0 - 1e-9) * useful(emitted, missing, p)


@lru_cache(maxsize=4096)
def useful(emitted: int, missing: int, p: float) -> float:
    """E min(X, missing), X ~ Binomial(emitted, p): the copies that are expected to arrive and to be missing."""
    if emitted <= missing or p >= 1.0:
        return min(emitted * p, float(missing))
    if missing > MOST_SUMMED:
        # E (X - missing)+ of a normal law, to far less than a copy in a hundred.
        spread = math.sqrt(emitted * p * (1.0 - p))
        z = (emitted * p - missing) / spread
        vain = spread * (math.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi) + z * math.erfc(-z / math.sqrt(2.0)) / 2.0)
        return emitted * p - vain
    j = np.arange(1, missing)
    logs = np.cumsum(np.log((emitted - j + 1) / j) + (math.log(p) - math.log1p(-p)))
    law = np.exp(emitted * math.log1p(-p) + np.concatenate([[0.0], logs]))
    return missing - float(law @ (missing - np.arange(missing)))
