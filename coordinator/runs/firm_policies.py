"""What the firm of a run is: by which policy every department acts, in training and wherever the run is put to use.

That is the policy that was accepted or swapped in last, and before there is one version 0, where training started. A
run keeps version 0 when training begins; for runs of versions that did not, it is made again from their settings.
"""

from __future__ import annotations

from coordinator.runs.folder import RunFolder
from coordinator.schemes.setup import policies_of, setup_of
from coordinator.storage.policies import load_policy
from departments.policies.policy import Snapshot
from environment.names import file_name


def firm_policies(run: RunFolder) -> dict[str, Snapshot]:
    """The policy that every department of a run acts by.

    Raises:
        ValueError: a policy is damaged, or training has not begun.
    """
    versions = run.current_versions()
    names = policies_of(run.firm(), run.settings())
    first = {} if versions.keys() >= names.keys() else _first_versions(run)
    return first | {name: load_policy(run.path / "policies", name, version) for name, version in versions.items()}


def policy_of(run: RunFolder, department: str, version: int | None = None) -> Snapshot:
    """One department's policy of a run: that version, or the one that it acts by.

    Raises:
        ValueError: there is no such department or version, or it is damaged, or training has not begun.
    """
    version = run.current_versions().get(department, 0) if version is None else version
    if version or (run.path / "policies" / file_name(department) / "0.json").is_file():
        return load_policy(run.path / "policies", department, version)
    first = _first_versions(run)
    if department not in first:
        raise ValueError(f"{str(run.path)!r} has no department {department!r}; it has {', '.join(first)}")
    return first[department]


def _first_versions(run: RunFolder) -> dict[str, Snapshot]:
    if not run.begun:
        raise ValueError(f"{str(run.path)!r} holds no policy yet: training has not begun; resume it")
    settings = run.settings()
    return setup_of(run.firm(), settings, run.base_levels()).networks(settings)
