"""The allocator of a process that runs parties."""

import ctypes
import subprocess
import sys

import pytest

BATCHES = """\
import resource
import numpy as np
from ketwire.nodes.memory import keep_freed_memory
{keep}
def batches():
    held = [np.ones(1 << 18, dtype=np.complex128) for _ in range(4)]
batches()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    batches()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the allocator is not glibc's")
def test_batches_that_come_and_go_take_no_new_pages() -> None:
    def faults(keep: str) -> int:
        code = BATCHES.format(keep=keep)
        return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)

    assert faults("keep_freed_memory()") < 100 < faults("")
