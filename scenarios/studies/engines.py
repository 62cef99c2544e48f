"""Where runs are carried out: in this process, in processes of this machine (joblib), or by dask.distributed.

Each engine is an executor of `concurrent.futures`. There is no scheduler here: the loop of `running` hands out runs.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from operator import index
from typing import Any, Literal, SupportsIndex, get_args

from ketwire.errors import ScenarioError
from ketwire.scenarios.reports.extras import extra
from ketwire.scenarios.studies.work import begin, run_task

EngineName = Literal["local", "dask"]
MAX_JOBS = 1024


@dataclass(frozen=True)
class Engine:
    """Where runs are carried out.

    width: runs under way at once, those that wait for a worker included.
    """

    executor: Executor
    width: int

    def submit(self, task: dict[str, Any]) -> Future[dict[str, Any]]:
        """Have a run carried out."""
        return self.executor.submit(run_task, task)


Opener = Callable[[], Any]
"""Makes a context with an Engine in it; another one after workers died."""


def engine_of(name: EngineName, jobs: int, scheduler: str | None) -> Opener:
    """What opens the engine that is asked for.

    Args:
        jobs: worker processes; of dask without a scheduler those of a cluster of its own on this machine.
        scheduler: the address of a dask scheduler, as tcp://host:port.

    Raises:
        ScenarioError: they do not go together, or a library is not installed.
    """
    if name not in get_args(EngineName):
        raise ScenarioError(f"--engine: {name!r} given, expected {' or '.join(get_args(EngineName))}")
    if not isinstance(jobs, SupportsIndex) or not 1 <= index(jobs) <= MAX_JOBS:
        raise ScenarioError(f"--jobs: {jobs} given, expected 1 to {MAX_JOBS}")
    if name == "local":
        if scheduler is not None:
            raise ScenarioError(f"--scheduler: {scheduler} given, expected it with --engine dask")
        if jobs == 1:
            return _inline
        extra("joblib", "studies", "--jobs")
        return lambda: _local(jobs)
    extra("distributed", "dask", "--engine dask")
    return lambda: _dask(jobs, scheduler)


def died(error: BaseException) -> bool:
    """Whether this says that a worker process died, and nothing of the run."""
    return isinstance(error, BrokenExecutor) or type(error).__name__ in ("KilledWorker", "FutureCancelledError")


class _Here(Executor):
    """Carries out each run at once, in this process."""

    def submit(self, function: Any, /, *given: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*given, **named))
        return future


@contextmanager
def _inline() -> Iterator[Engine]:
    yield Engine(_Here(), 1)


@contextmanager
def _local(jobs: int) -> Iterator[Engine]:
    """Worker processes of joblib's loky, each of which imports ketwire once."""
    from joblib.externals.loky.process_executor import ProcessPoolExecutor  # noqa: PLC0415

    executor = ProcessPoolExecutor(jobs, initializer=begin, initargs=(os.getpid(),), env=_ONE_THREAD)
    finished = False
    try:
        yield Engine(executor, 2 * jobs)
        finished = True
    finally:
        executor.shutdown(wait=True, kill_workers=not finished)


_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_ONE_THREAD["PYDANTIC_DISABLE_PLUGINS"] = "__all__"


@contextmanager
def _dask(jobs: int, scheduler: str | None) -> Iterator[Engine]:
    """Workers of a dask scheduler; without an address those of a cluster on the loopback interface."""
    import dask  # noqa: PLC0415
    from distributed import Client, LocalCluster  # noqa: PLC0415

    with dask.config.set({"distributed.admin.log-format": "%(message)s", "logging.distributed": "error"}), _quiet():
        try:
            client = Client(scheduler, timeout="10s", set_as_default=False) if scheduler is not None else None
        except (OSError, ValueError, TypeError) as error:
            told = " ".join(str(error).split())[:200]
            expected = "expected a dask scheduler: tcp://host:port"
            raise ScenarioError(f"--scheduler: {scheduler}: {told}, {expected}") from None
        cluster = None
        if client is None:
            cluster = LocalCluster(jobs, threads_per_worker=1, host="127.0.0.1", dashboard_address=None)
            client = Client(cluster, set_as_default=False)
        try:
            workers = sum(client.nthreads().values())
            yield Engine(client.get_executor(pure=False), 2 * max(1, workers, jobs if scheduler is not None else 1))
        finally:
            client.close()
            if cluster is not None:
                cluster.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings of dask in this process, say of a worker that ended: others carry out what it had."""
    # The second has a level of its own.
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
