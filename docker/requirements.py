"""What the Dockerfile asks while it builds. Needs nothing but Python."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

TABLES = ("sklearn/datasets/data/digits.csv.gz", "sklearn/datasets/data/breast_cancer.csv")
WARM = """\
import numpy
from ketwire.quantum import layers
from ketwire.quantum.engines.dispatch import apply
for qubits in range(3, 14):
    for entangler in ("cz-ring", "cnot-chain"):
        circuit = layers.rotations(qubits, "yz") + layers.entangler(qubits, entangler)
        apply(circuit, numpy.eye(2, 1 << qubits, dtype=complex), numpy.ones(circuit.parameter_count), "fused")
"""


def needed() -> None:
    """The packages that ketwire depends on, a line each."""
    print("\n".join(tomllib.loads(Path("pyproject.toml").read_text())["project"]["dependencies"]))


def tables(wheels: str, environment: str) -> None:
    """Two tables of scikit-learn, 177 kB, without scikit-learn, which takes 143 MB with what it needs."""
    (wheel,) = Path(wheels).glob("scikit_learn-*.whl")
    (packages,) = Path(environment).glob("lib/python3.*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        for name in TABLES:
            archive.extract(name, packages)


def warm(environment: str) -> None:
    """Have numba compile all that ketwire asks it to."""
    subprocess.run([f"{environment}/bin/python", "-c", WARM], check=True)


if __name__ == "__main__":
    if "--tables" in sys.argv:
        tables(*sys.argv[2:])
    elif "--compile" in sys.argv:
        if sys.argv[2] != "0":
            warm("/opt/ketwire")
    else:
        needed()
