"""ketwire: kets on the wire.

Node processes hold registers of log2 N qubits, send them to each other as serialized states over
simulated lossy fibers with timing, and so run distributed inference. The folders of the project
are this package's subpackages; each may import only those to its right:

    scenarios -> nodes -> protocols -> channels -> quantum
"""

__version__ = "0.2.0"
