"""The part of the office's interface that tells of products: lines and their approval, figures of one or of all."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response

from coordinator.live.running_firm import RunningFirm
from coordinator.office import bodies
from coordinator.office.answers import WAIT, Json, answer, carried, known
from coordinator.office.records import EVERY, narrowed, narrowed_decision

Since = Annotated[int, Query(ge=0, le=bodies.MOST, description="First period (or number of event).")]
Limit = Annotated[int, Query(ge=1, le=5000, description="At most so many, oldest first.")]
Product = Annotated[
    str | None, Query(max_length=500, description="Amounts of this product alone, of `*` summed over all.")
]
Search = Annotated[str, Query(max_length=200, description="Words in stock point, product or exception.")]
Sort = Literal["exception", "service", "stock", "order", "name"]
Most = Annotated[int, Query(ge=1, le=500, description="At most so many.")]


def _product(firm: RunningFirm, product: str | None) -> str | None:
    if product not in (None, EVERY, *firm.layout.products):
        raise HTTPException(404, "product must be one of the firm's (see /api/network), or *")
    return product


def _point(firm: RunningFirm, point: str | None) -> str | None:
    if point not in (None, *firm.layout.points):
        raise HTTPException(404, "stock_point must be one of the firm's (see /api/network)")
    return point


def figures_of(firm: RunningFirm) -> APIRouter:
    """Figures that may be narrowed to one product."""
    router = APIRouter(tags=["look"])

    @router.get("/metrics", response_model=Json)
    def metrics(product: Product = None) -> Response:
        """All figures of now. A bucket without an upper bound has null."""
        figures, of = firm.metrics(), _product(firm, product)
        return answer(figures if of is None else figures | {"departments": narrowed(figures["departments"], of)})

    @router.get("/ticks", response_model=list[Json])
    def ticks(since: Since = 0, limit: Limit = 1000, product: Product = None) -> Response:
        """Ticks from `since` on."""
        found, of = firm.ticks(since, limit), _product(firm, product)
        if of is not None:
            found = [tick | {"departments": narrowed(tick["departments"], of)} for tick in found]
        return answer(found)

    @router.get("/history", response_model=list[Json])
    def history(
        department: str | None = None, since: Since = 0, limit: Limit = 1000, product: Product = None
    ) -> Response:
        """Decisions from tick `since` on."""
        found = firm.history(None if department is None else known(firm, department), since, limit)
        of = _product(firm, product)
        return answer(found if of is None else [narrowed_decision(row, firm.layout, of) for row in found])

    return router


def lines_of(firm: RunningFirm) -> APIRouter:
    """Lines, by stock point and product, and their course over the whole history."""
    router = APIRouter(tags=["look"])

    @router.get("/lines", response_model=bodies.Lines)
    def lines(
        search: Search = "",
        stock_point: str | None = None,
        sort: Sort = "exception",
        descending: bool = False,
        offset: Since = 0,
        limit: Most = 50,
    ) -> Response:
        """Stock, order and exceptions by stock point and product: of what waits for approval, or was decided last."""
        asked = {"search": search, "stock_point": _point(firm, stock_point), "sort": sort, "descending": descending}
        return answer(firm.lines(offset=offset, limit=limit, **asked)._asdict())

    @router.get("/series", response_model=bodies.Series)
    def series(stock_point: str, product: Product = EVERY, most: Most = 300) -> Response:
        """A stock point's whole history in the book, as means over equally many periods."""
        of, point = _product(firm, product), _point(firm, stock_point)
        k = None if of in (None, EVERY) else firm.layout.products.index(str(of))
        return answer(firm.series(str(point), None if k is None else of, k, most))

    return router


def approvals_of(firm: RunningFirm) -> APIRouter:
    """What lets orders leave."""
    router = APIRouter(tags=["change"])

    @router.post("/approve", response_model=bodies.Answer)
    def approve(body: bodies.Approval) -> Response:
        """Let a period's orders leave that wait for approval, as proposed or changed line by line."""
        lines: dict[str, dict[str, float]] = {}
        for line in body.lines:
            lines.setdefault(line.stock_point, {})[line.product] = line.order
        return carried(firm.approve(body.period, lines, made=body.made, **body.tagged(), wait=WAIT))

    return router
