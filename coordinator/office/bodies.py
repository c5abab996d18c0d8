"""What commands to the office hold: bodies of requests, checked before the firm hears of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MOST = 10**9  # periods, numbers of events
ID = r"^[A-Za-z0-9_-]{1,64}$"  # of a command


def _whole(given: Any) -> Any:  # noqa: ANN401
    """JSON knows one kind of number: 3.0 is whole."""
    return int(given) if isinstance(given, float) and given.is_integer() else given


Whole = Annotated[int, BeforeValidator(_whole)]
Line = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Units = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Asked(_Body):
    """What every command may carry."""

    who: Line = Field("office", description="Who asks, for the book.")
    why: Line = Field("", description="In the asker's words, for the book.")
    command: Annotated[str, Field(pattern=ID)] | None = Field(
        None, description="An id of your choosing: repeated, the command is carried out once."
    )

    def tagged(self) -> dict[str, Any]:
        """As commands of a running firm take it."""
        return {"who": self.who, "why": self.why, "command": self.command}


class Swap(Asked):
    """Let a department follow another policy."""

    policy: Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")] = Field(
        description="`RULE`, `RUN`, `RUN@VERSION`, a policy file of a run or a csv file of levels, on the office's "
        "machine; `NAME=` before it says what it is called."
    )
    canary: Whole = Field(0, ge=0, le=100_000, description="Periods in shadow first; 0: none.")
    tolerance: float = Field(
        0.2, ge=0, le=1e6, allow_inf_nan=False, description="Share by which the firm may do worse in the shadow run."
    )

    undecided: Literal["refuse", "accept"] = Field(
        "refuse", description="What becomes of a canary that cannot be told apart from the policy in office."
    )


class _ByHand(Asked):
    periods: Whole = Field(1, ge=1, le=MOST, description="How long.")


class Order(_ByHand):
    """Give a stock point's order."""

    order: dict[str, Units] = Field(description="Whole units by product.", max_length=10_000)


class Changed(_Body):
    """A line of a proposal that is changed."""

    stock_point: Annotated[str, Field(max_length=500)]
    product: Annotated[str, Field(max_length=500)]
    order: Units = Field(description="Whole units; 0 rejects the line.")


class Approval(Asked):
    """Let orders leave that wait for approval."""

    period: Whole = Field(ge=0, le=MOST, description="That waits.")
    made: Annotated[int, Field(ge=0, le=MOST), BeforeValidator(_whole)] | None = Field(
        None, description="Of the proposal that was looked at, as /api/lines tells; null: any."
    )
    lines: list[Changed] = Field([], max_length=100_000, description="What is changed; all else leaves as proposed.")


class Exposure(_ByHand):
    """Give what is recommended."""

    exposure: dict[str, Share] = Field(
        description="Shares by `STOCK_POINT/SEGMENT/PRODUCT`; what is left out is not shown.", max_length=100_000
    )


class Observations(_Body):
    """One period's observations of a firm that is fed."""

    period: Whole = Field(ge=0, le=MOST)
    observations: Annotated[str, Field(max_length=1_000_000)] = Field(description="The csv of docs/live.md, as text.")
    traffic: Annotated[str, Field(max_length=1_000_000)] | None = Field(
        None, description="Where customers choose: the csv of traffic."
    )


class Answer(BaseModel):
    """What a command came to."""

    command: str
    state: Literal["done", "refused", "pending"]
    tick: int | None = Field(description="Effective from this tick on.")
    message: str


class Delivered(BaseModel):
    """Observations that were handed over."""

    period: int
    state: Literal["done"]
    message: str


class Refusal(BaseModel):
    """Why not, in one line."""

    error: str


class Uploaded(BaseModel):
    """A policy that was kept."""

    policy: str = Field(description="What a swap takes.")


class Right(BaseModel):
    """The token is right."""

    token: Literal["right"]


class ProductLine(BaseModel):
    """A stock point's product."""

    stock_point: str
    product: str
    on_hand: float
    backlog: float = Field(description="Units owed to customers.")
    position: float = Field(description="On hand and on order when it was decided, less what is owed.")
    target: float | None = Field(description="Position and wish together; null before any decision.")
    order: float
    mode: str = Field(description="As in /api/metrics; `changed` at approval.")
    demand: float = Field(description="Mean units asked a period.")
    expected_until_arrival: float = Field(description="Mean units asked within the lead time.")
    fill_rate: float | None = Field(description="Null where no customers have asked.")
    exceptions: list[str] = Field(description="The most urgent first.")
    reason: str = Field(description="Why this order, in one sentence.")


class Lines(BaseModel):
    """Lines that match, in order."""

    tick: int = Field(description="The period of the decision.")
    proposal: dict[str, Any] | None = Field(description="Where it waits for approval: `made`, `lines`, `exceptions`.")
    matching: int = Field(description="How many lines match.")
    odd: int = Field(description="Of them, with an exception.")
    lines: list[ProductLine]


class Series(BaseModel):
    """A stock point's history, as means over `step` periods each; the last ones may be fewer."""

    step: int = Field(description="Periods of a mean.")
    tick: list[int] = Field(description="The last period of each.")
    money: list[float] = Field(description="Of the firm: cost, or profit where it earns.")
    order: list[float]
    on_hand: list[float]
    position: list[float]
    target: list[float]
