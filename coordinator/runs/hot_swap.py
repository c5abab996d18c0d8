"""Another policy for one department of a run that is being trained, between two iterations (ours).

What is swapped in must have the run's own shapes for that department, so that it acts in rollouts, is kept, evaluated
and put into operation like any other policy of the run, and can go on learning: the policy of another run of the same
firm, or a base-stock rule, which is a residual policy whose network is a constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from coordinator.learning.iterations import Training
from coordinator.runs.firm_policies import policy_of
from coordinator.runs.folder import RunFolder
from coordinator.runs.mailbox import Answer, Request
from coordinator.runs.policy_source import must_be_built_alike, run_and_version
from coordinator.runs.policy_text import name_and_policy
from coordinator.schemes.base import Runner
from coordinator.schemes.registry import default_scheme, scheme_of
from coordinator.schemes.setup import TrainingSetup, scaling_of
from coordinator.storage.policies import load_policy, save_policy
from departments import extensions
from departments.named_policies import parse_policy
from departments.policies.policy import Snapshot
from departments.policies.spec import rule_of
from departments.rules.forecast import DEFAULT_SMOOTHING, ForecastBaseStock
from departments.rules.ordering import BaseStock, baseline_levels
from departments.rules.recommendation import Pair
from environment import World
from environment.names import file_name
from environment.observation import Observer

_KINDS = ("swap", "rollback")
_PREVIOUS = 50  # policies that can be rolled back one after the other


class HotSwap:
    """Carries requests out, each once; what it remembers goes into the checkpoint."""

    def __init__(self, run: RunFolder, plan: TrainingSetup, training: Training) -> None:
        """Of a run with its plan and workers."""
        self._run, self._plan, self._training = run, plan, training
        self.answers: dict[str, Answer] = {}  # by request
        self._previous: dict[str, list[list[Any]]] = {}  # by department, versions with whether they were held
        self._highest: dict[str, int] = {}  # by department, the highest version that was swapped in

    def record(self) -> dict[str, Any]:
        """What a checkpoint needs."""
        return {"answers": self.answers, "previous": self._previous, "highest": self._highest}

    def resume(self, plain: Mapping[str, Any]) -> None:
        """Go on from a record."""
        self.answers, self._previous = dict(plain["answers"]), dict(plain["previous"])
        self._highest = dict(plain["highest"])

    def carry_out(self, request: Request, scheme: Runner, iteration: int) -> tuple[Answer, int | None, str]:
        """Carry a request out, or refuse it; then nothing has changed.

        Args:
            request: not answered yet.
            scheme: that teaches.
            iteration: the last one that was done.

        Returns:
            The answer, the version that the department follows if it was carried out, and what it is or why not.
        """
        try:
            snapshot, held, details = self._found(request, scheme)
        except ValueError as error:
            return self._answered(request, "refused", iteration, " ".join(str(error).split())), None, str(error)
        name = request.department
        leaves, left_held = scheme.in_office(name), name in scheme.held
        scheme.replace(snapshot, held)
        self._highest[name] = snapshot.version
        if request.kind == "swap":
            self._save(leaves, {"why": "left its department to another"})
            kept = [*self._previous.get(name, []), [leaves.version, left_held]]
            self._previous[name] = kept[-_PREVIOUS:]
        else:
            self._previous[name].pop()
        asked = {"who": request.who, "why": request.why, "command": request.id, "policy": details}
        self._run.save_snapshot(snapshot, asked)
        message = f"{name} follows version {snapshot.version} ({details}) from iteration {iteration + 1} on"
        return self._answered(request, "done", iteration + 1, message), snapshot.version, details

    def too_late(self, request: Request, iteration: int) -> None:
        """Refuse what came when there was no iteration left."""
        self._answered(
            request, "refused", iteration, "the training has ended; put the run into operation to swap there"
        )

    def _answered(self, request: Request, state: str, iteration: int, message: str) -> Answer:
        answer = {"command": request.id, "state": state, "iteration": iteration, "message": message}
        self.answers[request.id] = answer
        return answer

    def _save(self, snapshot: Snapshot, provenance: Mapping[str, Any]) -> None:
        folder = self._run.path / "policies"
        if not (folder / file_name(snapshot.department) / f"{snapshot.version}.json").is_file():
            save_policy(folder, snapshot, provenance)

    def _found(self, request: Request, scheme: Runner) -> tuple[Snapshot, bool, str]:
        """The policy under its new version, whether it is held, and what it is for people."""
        name, settings = request.department, self._training.settings
        must_have_departments(self._run)
        if request.kind not in _KINDS:
            raise ValueError(f"a run under training takes {' and '.join(_KINDS)}, got {request.kind!r}")
        if name not in self._plan.specs:
            raise ValueError(f"DEPARTMENT must be one of {', '.join(self._plan.specs)}, got {name!r}")
        sharing = [other for other, owner in self._plan.owner.items() if owner == self._plan.owner.get(name)]
        if len(sharing) > 1:
            raise ValueError(
                f"{name} shares one policy with {', '.join(o for o in sharing if o != name)} under {settings.scheme}; "
                f"swap a department that has its own, or train {default_scheme(self._plan.firm)}"
            )
        if request.kind == "rollback":
            if not self._previous.get(name):
                raise ValueError(f"nothing was swapped into {name} in this run; there is no way back")
            version, held = self._previous[name][-1]
            found, details = load_policy(self._run.path / "policies", name, version), f"version {version} again"
        else:
            found, held, details = self._asked(request)
            self._examine(found, request)
        if held and scheme.held | {name} >= set(self._plan.specs):
            raise ValueError("nobody would be left to learn: all other departments are held; leave --hold out")
        known = (self._training.published[name].version, scheme.in_office(name).version, self._highest.get(name, 0))
        details += ", held" if held else ""
        return Snapshot(name, max(known) + 1, found.config, found.parameters), held, details

    def _asked(self, request: Request) -> tuple[Snapshot, bool, str]:
        """What a swap asks for; a rule is held."""
        extensions.load(request.extensions)
        name, policy = name_and_policy(request.policy)
        run = run_and_version(request.department, policy)
        if run is None:
            return self._rule(request.department, policy), True, name or policy
        found = self._trained(request.department, *run)
        return found, request.hold, f"{name or run[0].name}@{found.version}"

    def _trained(self, name: str, folder: Path, version: int | None) -> Snapshot:
        run, settings = RunFolder(folder), self._training.settings
        firm, theirs = run.firm(), run.settings()
        must_be_built_alike(self._plan.firm, firm, str(folder))
        must_have_departments(run)
        found, own = policy_of(run, name, version), self._plan.specs[name].policy
        for field, mine in own.model_dump().items():
            other = getattr(found.config, field)
            if field != "initial_std" and other != getattr(own, field):
                raise ValueError(
                    f"--policy {str(folder)!r} has policy.{field} {other} for {name}, and this run {mine}: only a "
                    "policy of the same kind can act and learn in its place"
                )
        same = scaling_of(firm, theirs) == scaling_of(self._plan.firm, settings)
        if not same or not (run.base_levels() == self._run.base_levels()).all():
            raise ValueError(
                f"--policy {str(folder)!r} was trained from other base-stock levels or on other scales of observations "
                "than this run (base_policy, scaling); only a policy of the same kind can act in its place"
            )
        return found

    def _rule(self, name: str, text: str) -> Snapshot:
        """A base-stock rule as the residual policy that it is."""
        spec, firm = self._plan.specs[name], self._plan.firm
        rule: object = parse_policy(text, firm)
        plain = spec.policy.form == "plain"
        if (plain and not spec.closed_loop) or name not in firm.names:
            raise ValueError(f"--policy {text!r}: {name} of a run under training follows policies of runs only")
        observer = Observer(World(firm, baseline_levels(firm)), base := self._run.base_levels())
        first = rule_of(observer.world, observer, name, spec.policy) if plain else spec.first_snapshot()
        if isinstance(rule, Pair):
            rule = rule.replenisher
        if isinstance(rule, ForecastBaseStock) and rule.smoothing == DEFAULT_SMOOTHING:
            return first  # what a residual policy with memory adds to, and a plain one was fitted to
        if spec.closed_loop or not (isinstance(rule, BaseStock) and rule.always_local):
            allowed = "forecast-base-stock" if spec.closed_loop else "base-stock:..., decomposition-aggregation"
            raise ValueError(
                f"--policy {text!r} cannot be followed in training, where a rule must be what a policy can learn on "
                f"from: {allowed}, or a run"
            )
        parameters, point = torch.from_numpy(first.parameters.copy()), firm.names.index(name)
        unit = observer.reach.view(len(firm.names), -1)[point]
        unit = unit if spec.over_points is None else unit * spec.over_points.unit
        more = (torch.as_tensor(rule.levels[point] - base[point]) / unit).view(-1, spec.clones)
        if not torch.allclose(more, more[:, :1]):
            raise ValueError(
                f"--policy {text!r}: {name} of this run decides all products by one network, which cannot start from "
                "these levels: only from those that differ from its own by equal periods of demand"
            )
        spec.usual_orders(parameters)[: len(more)].copy_(more[:, 0])  # precedence stays
        return Snapshot(name, 0, first.config, parameters.numpy())

    def _examine(self, candidate: Snapshot, request: Request) -> None:
        """Refuse what has wrong numbers, or costs the firm much more than the rule that policies start from."""
        name, training = request.department, self._training
        spec = self._plan.specs[name]
        plain = spec.policy.form == "plain"
        if candidate.config.form == spec.policy.form:
            spec.must_fit(candidate)  # its start is no rule, so what is in office must do
        stand_in, what = (training.published[name], "what acts now") if plain else (spec.first_snapshot(), "the rule")
        tried, before = (float(training.selection_costs(one).mean()) for one in (candidate, stand_in))
        if not tried <= before + request.tolerance * abs(before):
            sign, word = (-1.0, "profit") if self._plan.firm.earns else (1.0, "cost")
            raise ValueError(
                f"--policy {request.policy!r} brings the firm a {word} of {sign * tried:,.0f} an episode, {what} in "
                f"its place {sign * before:,.0f}: more than {request.tolerance:.0%} worse; take another, or raise "
                "--tolerance"
            )


def must_have_departments(run: RunFolder) -> None:
    """Refuse a run that trains one department for the whole firm.

    Raises:
        ValueError: one line.
    """
    if scheme_of(scheme := run.settings().scheme).joint:
        raise ValueError(
            f"run {str(run.path)!r} trains one department for the whole firm ({scheme}), so there is none to swap, to "
            f"take a policy from or to put into operation: train {default_scheme(run.firm())}"
        )
