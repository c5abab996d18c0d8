"""`firmwide scenarios`, `check`, `simulate`, `evaluate` and `compare`: firms, and what decides in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator import api
from coordinator.cli.options import AsJson, Device, FirmName, Seed, argument, option
from coordinator.cli.show import say, show, show_json

if TYPE_CHECKING:
    from environment.published import Family


def scenarios(
    name: Annotated[str | None, typer.Argument(show_default=False, help="Print this firm's file instead.")] = None,
    family: Annotated[str | None, option("NAME", "Other people's instances, and what they cost there.")] = None,
    as_json: AsJson = False,
) -> None:
    """The built-in firms, one line each; with a name, that firm's file as a start for one's own."""
    import yaml

    from environment import built_in_firms, load_firm
    from environment.instances import families, instance_firm

    names = built_in_firms()
    if family is not None:
        if family not in families():
            raise ValueError(f"--family must be one of {', '.join(families())}, got {family!r}")
        if name is not None:
            raise ValueError("give NAME or --family, not both")
        return _published(families()[family], as_json)
    if name is not None:
        if name not in names and instance_firm(name) is None:
            known = f"{', '.join(names)}, or an instance of --family {', '.join(families())}"
            raise ValueError(f"NAME must be one of {known}, got {name!r}")
        written = load_firm(name).to_yaml()
        return show_json(yaml.safe_load(written)) if as_json else print(written, end="")
    firms = [load_firm(name) for name in names]
    if as_json:
        rows = [{"name": f.name, "description": f.description, "stock_points": len(f.names)} for f in firms]
        return show_json({"firms": rows})
    width = max(map(len, names))
    for firm in firms:
        print(f"{firm.name:<{width}}  {firm.description}")
    say(f"other people's instances: --family {', '.join(families())}")
    return None


def _published(family: Family, as_json: bool) -> None:
    """The instances of a family, with what was published of them."""
    if as_json:
        rows = {
            name: {of.policy: {"cost": of.cost, "policy": of.played} for of in instance.published}
            for name, instance in family.instances.items()
        }
        about = {"family": family.name, "source": family.source, "unit": family.unit, "differs": family.differs}
        return show_json(about | {"instances": rows})
    print(f"{family.source}; cost {family.unit}{family.differs and f'; here {family.differs}'}")
    width = max(map(len, family.instances))
    for name, instance in family.instances.items():
        print(f"{name:<{width}}  " + ", ".join(f"{of.policy} {of.cost:,.6g}" for of in instance.published))
    return None


def check(firm: FirmName, as_json: AsJson = False) -> None:
    """Validate a firm; show its network, benchmark levels, protection intervals and mean demands."""
    found = api.check(firm)
    return show_json(found.to_json()) if as_json else show(found)


def _given(header: str) -> Any:  # noqa: ANN401
    return option("CSV", f"Given {header}.")


def simulate(
    firm: FirmName,
    out: Annotated[Path, option("CSV", "Where the states go.")],
    policy: Annotated[str | None, option("RULE|RUN|CSV", "Who decides (default: a good rule; it says which).")] = None,
    orders: Annotated[Path | None, _given("period,stock_point,quantity")] = None,
    demand: Annotated[Path | None, _given("period,stock_point,quantity")] = None,
    lead_times: Annotated[Path | None, _given("period,from,to,periods")] = None,
    suppliers: Annotated[Path | None, _given("period,stock_point,supplier")] = None,
    initial: Annotated[Path | None, _given("stock_point,on_hand")] = None,
    periods: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, help="How many (default: as the files, or the firm's evaluation)."),
    ] = None,
    seed: Seed = 0,
) -> None:
    """One episode, period by period; what is not given is drawn from the firm's laws.

    With several products every file has a column `product` too. Rows are needed for every period and stock point
    (demand: those that face customers; suppliers: those with several suppliers and something to order).
    """
    done = api.simulate(**locals())
    if done.default:
        say(f"ordered by {done.default}")
    say(f"{out}: cost of all periods {done.cost:.10g}")


def evaluate(
    firm: FirmName,
    policy: Annotated[
        list[str],
        option(
            "[NAME=]RULE|RUN|CSV",
            "A rule, such as base-stock:NAME=LEVEL,...; a run; base-stock levels (stock_point,level); repeatable.",
        ),
    ],
    episodes: Annotated[int, typer.Option(min=2, max=10_000_000, help="Fresh episodes, the same for all.")] = 4096,
    seed: Seed = 0,
    device: Device = "cpu",
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile", help="Rules act in a world compiled by the machine's C++ compiler: for many episodes."
        ),
    ] = False,
    html: Annotated[Path | None, option("FILE", "Draw them beside stock against service, of tuned levels.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare policies on common random numbers: mean ± standard error, paired differences, service and stock."""
    done = api.evaluate(firm, policy, episodes=episodes, seed=seed, device=device, compiled=say if compiled else None)
    if html is not None:
        from coordinator.report.evaluation_page import write_evaluation_page

        write_evaluation_page(done, html, seed=seed)
    return show_json(done.to_json()) if as_json else show(done)


def compare(
    firms: Annotated[
        list[str], argument("FIRM...", "Firm files or built-in names; others are compared with the first.")
    ],
    change: Annotated[
        list[str] | None,
        option("PATH=VALUE", "One firm more: the first with this, such as supply[0].lead_time=5; repeatable.", "--set"),
    ] = None,
    policy: Annotated[str, option("RULE", "That each firm follows by itself.")] = "tuned-base-stock",
    episodes: Annotated[int, typer.Option(min=2, max=10_000_000, help="Of the same demand for all.")] = 4096,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """What if: firms on the same demand, with paired differences, such as what a shorter lead time is worth."""
    done = api.compare(firms, change or (), policy=policy, episodes=episodes, seed=seed)
    return show_json(done.to_json()) if as_json else show(done)
