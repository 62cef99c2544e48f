"""The built-in programs by the ids that sessions, jobs and run folders record.

An id stays what it is when its class moves, so that a run that was begun before goes on after. A program of a user's
own is recorded as `module:Class`.
"""

from __future__ import annotations

from ketwire.errors import ScenarioError

PROGRAMS = {
    "advantage": "ketwire.protocols.advantage.program:AdvantageParty",
    "advantage/fingerprint": "ketwire.protocols.advantage.fingerprint:FingerprintParty",
    "advantage/fingerprint/classical": "ketwire.protocols.advantage.fingerprint:FingerprintRivalParty",
    "advantage/named-state": "ketwire.protocols.advantage.rivals:NamedStateParty",
    "advantage/places": "ketwire.protocols.advantage.rivals:PlacesParty",
    "central": "ketwire.protocols.graph.central:CentralParty",
    "decoys": "ketwire.protocols.decoys:DecoyParty",
    "gradient": "ketwire.protocols.gradient.programs:GradientParty",
    "gradient/dense-state": "ketwire.protocols.gradient.dense_rival:DenseGradientParty",
    "gradient/description": "ketwire.protocols.gradient.description:DescriptionParty",
    "gradient/parameter-shift": "ketwire.protocols.gradient.programs:ShiftParty",
    "graph": "ketwire.protocols.graph.program:GraphParty",
    "graph/code": "ketwire.protocols.graph.rivals:CodeParty",
    "graph/features": "ketwire.protocols.graph.rivals:FeatureParty",
    "graph/hops": "ketwire.protocols.graph.rivals:HopParty",
    "graph/sketch": "ketwire.protocols.graph.rivals:SketchParty",
    "inference": "ketwire.protocols.inference:InferenceParty",
    "inference/amplitude": "ketwire.protocols.amplitude:AmplitudeParty",
    "inference/amplitude/sampling": "ketwire.protocols.amplitude:SampledParty",
    "inference/dense-state": "ketwire.protocols.inference_rivals:DenseStateParty",
    "inference/description": "ketwire.protocols.inference_rivals:DescriptionParty",
    "inference/sketch": "ketwire.protocols.sketch:SketchParty",
    "subspace": "ketwire.protocols.subspace:SubspaceParty",
    "subspace/code": "ketwire.protocols.rivals:CodeParty",
    "subspace/description": "ketwire.protocols.rivals:DescriptionParty",
    "subspace/raw": "ketwire.protocols.rivals:RawParty",
    "training": "ketwire.protocols.training.program:TrainingParty",
    "training/backprop": "ketwire.protocols.training.rivals:BackpropParty",
    "training/description": "ketwire.protocols.training.description:DescriptionParty",
    "training/raw-data": "ketwire.protocols.training.rivals:RawDataParty",
}


def target_of(program: str) -> str:
    """The `module:Class` of a program that a session names by its id, or by `module:Class` itself.

    Raises:
        ScenarioError: it is neither.
    """
    if ":" in program:
        return program
    if program not in PROGRAMS:
        raise ScenarioError(
            f"protocol: program {program!r} given, expected module:Class, or one of {', '.join(PROGRAMS)}"
        )
    return PROGRAMS[program]
