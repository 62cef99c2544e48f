"""Which lines the engine `netsquid` models; asked when a line is described, so nothing of NetSquid is imported here."""

from __future__ import annotations

from ketwire.channels.parts import Medium

LATEST_PS = 1 << 52  # below, half a picosecond is more than the rounding of a double in ns
NOISES = ("depolarizing", "dephasing")


def refuse(line: Medium, transport: str) -> None:
    """Refuse a line with something in it that NetSquid, as it is used here, does not model.

    Raises:
        ValueError: the message starts with the name of the field.
    """
    ours = "with the engine netsquid"
    if transport != "direct":
        raise ValueError(f"transport: {transport!r} given, expected direct {ours}")
    if line.sender.gaussian or line.receiver.gaussian:
        raise ValueError(f"t2_shape: gaussian given, expected exponential {ours}")
    if line.eve is not None:
        raise ValueError(f"eve: given, expected nobody {ours}")
    if len(line.noise) > 1:
        raise ValueError(f"noise: {len(line.noise)} channels given, expected at most one {ours}")
    for noise in line.noise:
        if noise.kind not in NOISES:
            raise ValueError(f"noise: {noise.kind!r} given, expected {' or '.join(NOISES)} {ours}")
    if line.fiber.delay_ps >= LATEST_PS:
        seconds, most = line.fiber.delay_ps / 1e12, LATEST_PS / 1e12
        raise ValueError(
            f"length_km: light takes {seconds:.3g} s, expected below {most:.0f} s {ours}: its time is a double"
        )
