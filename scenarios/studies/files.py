"""Study files: packaged ones, those of a user, and studies made on the command line or in Python."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from ketwire.errors import ScenarioError
from ketwire.scenarios.load import PACKAGED, Draft, draft, packaged
from ketwire.scenarios.schema.changes import as_file
from ketwire.scenarios.schema.validation import meant, one_line, shown
from ketwire.scenarios.schema.yamltext import parse, read
from ketwire.scenarios.studies.spec import Study

STUDIES = PACKAGED / "studies"
_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Given:
    """A study that is valid in itself, with its base scenario unchecked.

    origin: how errors call it.
    """

    study: Study
    origin: str
    name: str
    base: Draft

    @property
    def base_named(self) -> str | None:
        """The base as a command names it: a packaged name or an absolute path; None where the study holds it."""
        if isinstance(self.study.base, dict):
            return None
        known = packaged()
        return self.study.base if self.study.base in known else str(Path(self.base.base, Path(self.base.origin).name))


def packaged_studies() -> dict[str, Path]:
    """The studies that ship with ketwire, by name."""
    return {path.stem: path for path in sorted(STUDIES.glob("*.yaml"))}


def read_file(name_or_file: str) -> Given:
    """A packaged study by name, or one from a file.

    Relative paths start from the file's folder; those of a packaged study, as of packaged scenarios, from the working
    directory.

    Raises:
        ScenarioError: there is none, or it is not valid; one line with file, key, value and what was expected.
    """
    path = _path(name_or_file)
    is_packaged = name_or_file in packaged_studies()
    origin = path.name if is_packaged else name_or_file
    data = parse(read(path, origin, "study file"), origin)
    return of_data(data, origin, path.stem, os.getcwd() if is_packaged else str(path.resolve().parent))


def is_study(name_or_file: str) -> bool:
    """Whether a name or a file is a study's, and no scenario's: whether it has a base or axes.

    Raises:
        ScenarioError: it is the name of neither.
    """
    if name_or_file in packaged_studies():
        return True
    if name_or_file in packaged():
        return False
    path = _path(name_or_file)
    data = parse(read(path, name_or_file, "study or scenario file"), name_or_file)
    return isinstance(data, dict) and says_study(data)


def says_study(data: Mapping[str, Any]) -> bool:
    """Whether the values of a file are a study's, and no scenario's. One without its base is a study all the same."""
    return "base" in data or "axes" in data


def _path(name_or_file: str) -> Path:
    found = packaged_studies()
    if name_or_file in found:
        return found[name_or_file]
    path = Path(name_or_file).expanduser()
    if "/" in name_or_file or name_or_file.endswith(_SUFFIXES) or path.is_file():
        return path
    known = (*found, *packaged())
    told = f"{name_or_file!r} given, expected a study file, or one of {', '.join(known)}{meant(name_or_file, known)}"
    raise ScenarioError(f"study: {told}")


def of_data(data: Any, origin: str, stem: str, folder: str) -> Given:
    """A study from the values that its YAML would hold; relative paths in it start from `folder`.

    Raises:
        ScenarioError: it is not valid.
    """
    study = study_of(data, origin)
    name = study.name or stem
    return Given(study, origin, name, _base(study.base, origin, name, folder))


def study_of(data: Any, origin: str) -> Study:
    """The values of a study file as types. Its base is not looked at.

    Raises:
        ScenarioError: it is not valid.
    """
    if not isinstance(data, dict):
        raise ScenarioError(f"{origin}: {shown(data)} given, expected a mapping (base, axes, ...)")
    try:
        return Study.model_validate_json(json.dumps(data, default=partial(_refuse, origin)), strict=True)
    except ValidationError as error:
        told = one_line(error, data, Study).replace("the scenario:", "the study:", 1)
        raise ScenarioError(f"{origin}: {told}") from None


def _refuse(origin: str, value: Any) -> NoReturn:
    told = f"a value of the type {type(value).__name__} given, expected numbers, text, lists and mappings"
    raise ScenarioError(f"{origin}: {told}")


def _base(base: str | dict[str, Any], origin: str, name: str, folder: str) -> Draft:
    if isinstance(base, dict):
        return Draft(base, f"{origin}: base", name, folder)
    if base in packaged():
        return draft(base)
    path = Path(folder, base).expanduser()
    if not path.is_file():
        known = ", ".join(packaged())
        raise ScenarioError(f"{origin}: base: {base!r} given, expected a file beside the study or one of {known}")
    return draft(str(path))


def of_scenario(base: str | Mapping[str, Any], axes: Mapping[str, Any], more: Mapping[str, Any]) -> Given:
    """A study made ad hoc: a scenario's name, file or values, the values of each axis by its key, and other keys.

    Raises:
        ScenarioError: it is not valid.
    """
    told = as_file(base) if isinstance(base, Mapping) else base
    if isinstance(told, str) and told not in packaged():
        draft(told)  # complains of a file in the words of the command
        told = str(Path(told).expanduser().absolute())
    stem = Path(told).stem if isinstance(told, str) else "study"
    listed = []
    for key, values in axes.items():
        given = as_file(values)
        listed.append({"key": key, "values": given if isinstance(given, list) else [given]})
    data = {"name": stem, "base": told, "axes": listed, **as_file(more)}
    return of_data(data, f"study of {stem}", stem, str(Path.cwd()))


def with_repeats(given: Given, repeats: int | None) -> Given:
    """A study with another number of repeats; None: with its own.

    Raises:
        ScenarioError: no number of repeats.
    """
    if repeats is None:
        return given
    told = given.study.model_dump(mode="json", exclude_unset=True)
    return replace(given, study=study_of({**told, "repeats": as_file(repeats)}, given.origin))


def axis_of(text: str) -> tuple[str, list[Any]]:
    """An axis of the command line, KEY=VALUE,VALUE, each value in YAML.

    Raises:
        ScenarioError: it has another form.
    """
    key, equals, values = text.partition("=")
    if not equals or not all(key.split(".")):
        raise ScenarioError(f"--axis {text!r} given, expected KEY=VALUE,VALUE with a dotted key")
    if not values.strip():
        raise ScenarioError(f"--axis {key}: no value given, expected KEY=VALUE,VALUE")
    found: list[Any] = parse(f"[{values}]", f"--axis {key}")
    return key, found
