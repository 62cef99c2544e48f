"""What a run of the kind `central` comes to."""

from __future__ import annotations

from pydantic import Field

from ketwire.scenarios.kinds.result import RunResult, Summary


class CentralSummary(Summary):
    """Accuracies on what a network is not trained on. Nothing crosses the network, so all its counts are 0."""

    trained: int = Field(description="networks: one for each seed, and of whole graphs for each fold")
    deviation: float | None = Field(
        description="of the accuracy: of whole graphs between folds, of nodes between seeds; null for one"
    )
    best_epoch_accuracy: float | None = Field(
        description="at the epoch that is best on average over the test folds, which is optimistic; null for nodes"
    )
    best_epoch_deviation: float | None = Field(description="of that, between folds; null for nodes")
    difference: float | None = Field(description="accuracy less that of the activation beside; null without one")
    difference_half_width: float | None = Field(
        description="half of the 95 % interval of the difference, over seeds (Student's t); null for one seed"
    )
    published: float | None = Field(description="published accuracy of this activation; null where there is none")
    published_deviation: float | None = Field(description="of the published accuracy; null where there is none")
    bar: float | None = Field(
        description="what degree 2 is to come to: of whole graphs at the best epoch, of nodes as tested"
    )


class CentralResult(RunResult, CentralSummary):
    """The kind `central`."""
