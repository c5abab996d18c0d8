"""A firm's world as straight-line C++: what `environment.World` does with matrices, written out for one network.

Sixteen copies go through all periods before the next sixteen start, so their state never leaves the processor's cache.
Every stock point, edge and line is a variable of its own, one for each product. Units are whole and money is added in
the order of `World.account`, with no contraction to fused products, so results are those of `World.step` to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from environment.firm import Firm
from environment.network import Network
from environment.straight_line_frame import ACTING, FRAME, LEARNING, PLAIN
from environment.straight_line_tape import TAPED

MEASURES = ("on_hand", "order_quantity", "order_square", "received", "received_square")  # by stock point
SERVICE = ("demand", "served_at_once", "unserved", "full_service")  # by customer-facing point
_VECTOR_BYTES = 64


@dataclass(frozen=True)
class Form:
    """What the code depends on beside the firm."""

    single: bool  # float32, else float64
    slots: int  # of the pipeline
    follows: bool  # orders come from levels by the rule below; else they are given, [T, N, K, E]
    reorders: bool = False  # nothing is ordered while the position is above a reorder point
    weights: tuple[tuple[float, ...], ...] | None = None  # [N, N] of the positions that are compared with levels
    random_lead_time: bool = False
    random_costs: bool = False
    random_supplier: bool = False
    looks: bool = False  # orders come from networks that see features; see `_look`
    arrivals: int = 0  # periods of arrival that features tell apart
    cut: bool = False  # features are cut off at -1 and 1
    differentiates: bool = False  # the cost is differentiated with respect to the networks that look


class StraightLine:
    """The code of one firm; rows are counted as `World` lays them out: stock point, edge or line first, then product.

    `h`, `p`, `o`, `q` with a number are stock on hand, pipeline, units owed and inventory position; `a` what is
    ordered at a point, `w` what is wanted on a line, `s` what is shipped there, `l` what leaves on an edge.
    """

    def __init__(self, firm: Firm, network: Network, form: Form, fixed_lead_time: NDArray[np.int64]) -> None:
        """Prepare `firm`; fixed_lead_time is [Ed, K] periods, for edges without random ones."""
        self._firm, self._form, self._products = firm, form, len(firm.products)
        products = range(self._products)
        self._points, self._edges = len(firm.names), len(network.edge_target)
        self._facing = network.customer_facing.tolist()
        self._target = [self._row(n, k) for n in network.edge_target.tolist() for k in products]
        self._rank = [rank for rank in network.supplier_rank.tolist() for _ in products]
        several = [bool(network.supplier_count[n] > 1) for n in range(self._points)]
        self._chooses = [several[n] and form.random_supplier for n in network.edge_target.tolist() for _ in products]
        self._inside = network.internal * self._products
        self._blur = network.blur().repeat(self._products)  # of each row
        self._seller = [self._row(n, k) for n in network.line_supplier.tolist() for k in products]
        self._lead_time = fixed_lead_time.reshape(-1).tolist()

    def _row(self, item: int, product: int) -> int:
        return item * self._products + product

    @property
    def rows(self) -> dict[str, int]:
        """Rows of copies in each field of the state."""
        edges = self._edges * self._products
        points = self._points * self._products
        return {"on_hand": points, "pipeline": self._form.slots * edges, "owed": len(self._seller), "position": points}

    @property
    def tally(self) -> int:
        """How many sums of measures there are."""
        return len(MEASURES) * self._points + len(SERVICE) * len(self._facing)

    @property
    def comparisons(self) -> int:
        """Pairs of customers who are compared for their place in a line: they decide how long the code is."""
        counts = np.bincount(self._seller[: self._inside], minlength=1)
        return int((counts * (counts - 1) // 2).sum())

    def source(self) -> str:
        """The whole of it."""
        single, learns = self._form.single, self._form.differentiates
        records = self._form.looks and not learns
        lanes = _VECTOR_BYTES // (4 if single else 8)
        return FRAME.format(
            headers="#include <vector>" if learns else "",
            values=TAPED if learns else PLAIN,
            real="float" if single else "double",
            whole="int" if single else "long long",
            lanes=lanes,
            bytes=_VECTOR_BYTES,
            big=float(1.5 * 2.0 ** (23 if single else 52)).hex(),
            points=self._points,
            tally=self.tally,
            load=_lines(self._load(), 4),
            period=_lines(
                [*self._decide(), *self._receive(), *self._fulfil(), *self._book(), *self._dispatch()],
                6,
            ),
            cost=_lines(self._account(), 6),
            acting=_lines((LEARNING if learns else ACTING) * self._form.looks, 2),
            kept=_lines(self._keep_cost() if records else [], 6),
            last=_lines(["{", "  const long t = periods;", *self._look(), "}"] if records else [], 4),
            begin=_lines(["tape->begin(count);"] * learns, 4),
            learn=_lines(["tape->back(actors, back);"] * learns, 4),
            measures=_lines([] if learns else self._measure(), 6),
            store=_lines(self._store(), 4),
        )

    def _load(self) -> list[str]:
        code = []
        for name, letter in (("on_hand", "h"), ("owed", "o"), ("position", "q")):
            code += [f"V {letter}{i} = load({name} + {i} * copies + e, count);" for i in range(self.rows[name])]
        if self._form.slots == 1:
            code += [f"V p{i} = load(pipeline + {i} * copies + e, count);" for i in range(self.rows["pipeline"])]
        else:
            rows = self.rows["pipeline"]
            code += [
                f"V ring[{rows}];",
                f"for (int i = 0; i < {rows}; i++) ring[i] = load(pipeline + i * copies + e, count);",
            ]
        if self._form.looks:
            rows = self.rows["on_hand"]
            code.append(f"V seen[{self._features}], did[{rows}], wish[{rows}];")
        if self._form.follows:
            rows = self.rows["on_hand"] * (1 + self._form.reorders)
            code += [
                f"V level[{rows}];",
                f"for (int i = 0; i < {rows}; i++)",
                "  level[i] = shared ? zero + orders[i] : load(orders + i * copies + e, count);",
            ]
        return code

    def _store(self) -> list[str]:
        code = []
        for name, letter in (("on_hand", "h"), ("owed", "o"), ("position", "q")):
            code += [f"store({name} + {i} * copies + e, {letter}{i}, count);" for i in range(self.rows[name])]
        rows, edges = self.rows["pipeline"], self._edges * self._products
        if self._form.slots == 1:
            return code + [f"store(pipeline + {i} * copies + e, p{i}, count);" for i in range(rows)]
        return [
            *code,
            f"for (int i = 0; i < {rows}; i++)",
            f"  store(pipeline + i * copies + e, ring[(i + periods * {edges}) % {rows}], count);",
        ]

    def _decide(self) -> list[str]:
        """Event 4: what every point orders, as the world accepts it, and from whom."""
        form, points, code = self._form, self.rows["on_hand"], []
        most = self._firm.amounts("max_order").reshape(-1)
        if form.looks:
            code += self._look() + self._act()
        for i in range(points):
            if form.looks:
                code.append(f"const V a{i} = accepted(wish[{i}], {self._amount(most[i])});")
                continue
            if not form.follows:
                code.append(f"const V a{i} = load(orders + (t * {points} + {i}) * copies + e, count);")
                continue
            wish = f"level[{i}] - {self._compared(i)}"
            if form.reorders:
                wish = f"pick(q{i} <= level[{points + i}], {wish}, zero)"
            code.append(f"const V a{i} = accepted({wish}, {self._amount(most[i])});")
        for point in sorted({self._target[edge] for edge, chooses in enumerate(self._chooses) if chooses}):
            code.append(f"const V c{point} = load(supplier + (t * {points} + {point}) * copies + e, count);")
        for edge, (point, rank) in enumerate(zip(self._target, self._rank, strict=True)):
            placed = f"pick(c{point} == zero + (real){rank}, a{point}, zero)" if self._chooses[edge] else f"a{point}"
            code.append(f"const V w{edge} = {placed};" if edge < self._inside else f"const V l{edge} = {placed};")
        return code

    @property
    def _features(self) -> int:
        return self.rows["on_hand"] * (2 + self._form.arrivals) + len(self._seller)

    def _look(self) -> list[str]:
        """What there is to see, scaled, as `Observer.all_features`: positions, stock, arrivals, units owed."""
        form, edges, points = self._form, self._edges * self._products, self.rows["on_hand"]
        units = [f"q{i}" for i in range(points)] + [f"h{i}" for i in range(points)]
        for slot in range(form.arrivals):
            slots = range(slot, form.slots) if slot == form.arrivals - 1 else (slot,)
            for point in range(points):
                incoming = [edge for edge in range(edges) if self._target[edge] == point]
                if form.slots == 1:
                    terms = [f"p{edge}" for edge in incoming]
                else:
                    terms = [f"ring[(t + {s}) % {form.slots} * {edges} + {edge}]" for s in slots for edge in incoming]
                units.append(" + ".join(terms) or "zero")
        units += [f"o{line}" for line in range(len(self._seller))]
        code = [f"seen[{g}] = {unit};" for g, unit in enumerate(units)]
        scaled = "(seen[g] - (zero + centre[g])) * (zero + factor_of[g])"
        kept = f"store(features + (t * {len(units)} + g) * copies + e, seen[g], count);"
        return [
            *code,
            f"for (int g = 0; g < {len(units)}; g++) {{",
            f"  seen[g] = {f'within({scaled}, (real)-1, (real)1)' if form.cut else scaled};",
            *([] if form.differentiates else [f"  {kept}"]),
            "}",
        ]

    def _act(self) -> list[str]:
        """What is wished: levels less positions, and what the networks' actions say to that; actions are kept."""
        explored = [
            "  did[j] += load(noise + (t * deciding + j) * copies + e, count);",
            "  store(actions + (t * deciding + j) * copies + e, did[j], count);",
        ]
        decided = f"tape->decide(actors, act, seen, {self._features}, did, deciding);"
        return [
            *(f"wish[{i}] = (zero + orders[{i}]) - q{i};" for i in range(self.rows["on_hand"])),
            decided if self._form.differentiates else "act(actors, (const real *)seen, (real *)did);",
            "for (long j = 0; j < deciding; j++) {",
            *([] if self._form.differentiates else explored),
            "  const V own = zero + unit[j];",
            "  V &wished = wish[place[j]];",
            "  wished = residual[j] ? wished + own * did[j] : (did[j] + (real)1) * own;",
            "}",
        ]

    def _keep_cost(self) -> list[str]:
        place = f"costs + (t * {self._points} + {{}}) * copies + e"
        return [f"store({place.format(n)}, {self._over_products('k', n)}, count);" for n in range(self._points)]

    def _compared(self, row: int) -> str:
        """The position that a level is compared with."""
        if self._form.weights is None:
            return f"q{row}"
        point, product = divmod(row, self._products)
        terms = [(weight, self._row(n, product)) for n, weight in enumerate(self._form.weights[point]) if weight]
        return "(" + " + ".join(f"q{i}" if w == 1.0 else f"{self._amount(w)} * q{i}" for w, i in terms) + ")"

    def _receive(self) -> list[str]:
        """External demand; positions after event 4; event 1."""
        facing = len(self._facing) * self._products
        code = [
            f"const V w{self._inside + c} = load(demand + (t * {facing} + {c}) * copies + e, count);"
            for c in range(facing)
        ]
        code += [f"q{i} += a{i};" for i in range(self.rows["position"])]
        code += [f"q{point} -= w{line};" for line, point in enumerate(self._seller)]
        edges = self._edges * self._products
        if self._form.slots > 1:
            code.append(f"V *now = ring + t % {self._form.slots} * {edges};")
        arriving = [f"p{edge}" if self._form.slots == 1 else f"now[{edge}]" for edge in range(edges)]
        return code + [f"h{point} += {units};" for point, units in zip(self._target, arriving, strict=True)]

    def _fulfil(self) -> list[str]:
        """Event 2: backorders first, then in ascending order of inventory position; see `events.fulfil`."""
        code = []
        for point in dict.fromkeys(self._seller):
            lines = [line for line, seller in enumerate(self._seller) if seller == point]
            if len(lines) == 1:
                (line,) = lines
                code.append(f"const V s{line} = least(h{point}, o{line} + w{line});")
                continue
            everything = " + ".join(f"o{line}" for line in lines)
            code += [f"V x{line} = zero, y{line} = {everything};" for line in lines]
            customers = [line for line in lines if line < self._inside]
            for external in set(lines) - set(customers):  # they come first within a class
                code += [f"x{line} += o{external}; y{line} += w{external};" for line in customers]
            for place, i in enumerate(customers):
                for j in customers[place + 1 :]:
                    first, second = self._target[i], self._target[j]
                    reach = self._amount(self._blur[first] + self._blur[second])
                    code += [
                        f"{{ const V gap = q{first} - q{second};",
                        f"  x{j} += before(gap, o{i}, {reach}); y{j} += before(gap, w{i}, {reach});",
                        f"  x{i} += behind(gap, o{j}, {reach}); y{i} += behind(gap, w{j}, {reach}); }}",
                    ]
            code += [f"const V s{i} = served(h{point} - x{i}, o{i}) + served(h{point} - y{i}, w{i});" for i in lines]
        return code + [f"h{point} -= s{line};" for line, point in enumerate(self._seller)]

    def _book(self) -> list[str]:
        """What is owed; before it, what is kept of the state before for the measures."""
        code, lost = [], self._firm.unmet == "lost"
        for line, point in enumerate(self._seller):
            if line < self._inside:
                code.append(f"o{line} = o{line} + w{line} - s{line};")
                continue
            code += [
                f"const V b{line} = o{line};",
                f"const V u{line} = o{line} + w{line} - s{line};",
                f"o{line} = {'zero' if lost else f'u{line}'};",
            ]
            if lost:
                code.append(f"q{point} += u{line};")
        return code

    def _dispatch(self) -> list[str]:
        """What is shipped joins the pipeline; the ring's first slot is that of the period."""
        edges, slots = self._edges * self._products, self._form.slots
        leaving = [f"s{edge}" if edge < self._inside else f"l{edge}" for edge in range(edges)]
        if slots == 1:
            return [f"p{edge} = {units};" for edge, units in enumerate(leaving)]
        code = [f"for (int i = 0; i < {edges}; i++) now[i] = zero;"]
        if not self._form.random_lead_time:
            place = f"ring[(t + {{}}) % {slots} * {edges} + {{}}]"
            pairs = zip(self._lead_time, leaving, strict=True)
            return code + [f"{place.format(time, edge)} += {units};" for edge, (time, units) in enumerate(pairs)]
        return [
            *code,
            f"const V leaving[{edges}] = {{{', '.join(leaving)}}};",
            f"for (int i = 0; i < {edges}; i++) {{",
            f"  const long long *time = lead_time + (t * {edges} + i) * copies + e;",
            f"  arrive(ring + i, {edges}, {slots}, t, time, leaving[i], count);",
            "}",
        ]

    def _amount(self, value: float) -> str:
        """A constant, rounded as the world's tensors are."""
        return f"(real){(float(np.float32(value)) if self._form.single else float(value)).hex()}"

    def _account(self) -> list[str]:
        """Event 3; see `World.account`."""
        firm, code, points = self._firm, [], self.rows["on_hand"]
        holding, penalty, price, unit, fixed = (
            firm.amounts(field).reshape(-1)
            for field in ("holding_cost", "backorder_cost", "price", "unit_cost", "fixed_order_cost")
        )
        line_of = {point: line for line, point in enumerate(self._seller) if line >= self._inside}
        for i in range(points):
            terms = [f"{self._amount(holding[i])} * h{i}{self._factor(0, i)}"]
            if i in line_of:
                loss = f"{self._amount(penalty[i])} * u{line_of[i]}{self._factor(1, i)}"
                terms.append(f"({loss} - {self._amount(price[i])} * s{line_of[i]})" if firm.earns else loss)
            if unit.any() or fixed.any():
                placed = f"pick(a{i} > zero, zero + {self._amount(fixed[i])}, zero)"
                terms += [f"{self._amount(unit[i])} * a{i}", placed]
            code.append(f"const V k{i} = {' + '.join(terms)};")
        return code + [f"cost[{n}] += wide(paid({self._over_products('k', n)}));" for n in range(self._points)]

    def _factor(self, kind: int, row: int) -> str:
        if not self._form.random_costs:
            return ""
        points = self.rows["on_hand"]
        return f" * load(factor + ((t * 2 + {kind}) * {points} + {row}) * copies + e, count)"

    def _over_products(self, letter: str, item: int) -> str:
        return " + ".join(f"{letter}{self._row(item, k)}" for k in range(self._products))

    def _measure(self) -> list[str]:
        """Sums of what the episode's measures are the means of, in the order of MEASURES and SERVICE."""
        points, code, lost = self._points, [], self._firm.unmet == "lost"
        asked: list[list[str]] = [[] for _ in range(points)]
        for line, row in enumerate(self._seller):
            asked[row // self._products].append(f"w{line}")
        for n in range(points):
            received = " + ".join(asked[n]) or "zero"
            code += [
                f"const V m{n} = {self._over_products('a', n)}, r{n} = {received};",
                f"tally[{n}] += wide({self._over_products('h', n)});",
                f"tally[{points + n}] += wide(m{n}); tally[{2 * points + n}] += wide(m{n} * m{n});",
                f"tally[{3 * points + n}] += wide(r{n}); tally[{4 * points + n}] += wide(r{n} * r{n});",
            ]
        start, facing = len(MEASURES) * points, len(self._facing)
        first = self._inside // self._products
        for c in range(facing):
            lines = [self._row(first + c, k) for k in range(self._products)]
            at_once = " + ".join(f"s{i}" if lost else f"most(s{i} - b{i}, zero)" for i in lines)
            unserved = self._over_products("u", first + c)
            code += [
                f"const V z{c} = {unserved};",
                f"tally[{start + c}] += wide({self._over_products('w', first + c)});",
                f"tally[{start + facing + c}] += wide({at_once});",
                f"tally[{start + 2 * facing + c}] += wide(z{c});",
                f"tally[{start + 3 * facing + c}] += wide(pick(z{c} == zero, zero + (real)1, zero));",
            ]
        return code


def _lines(code: list[str], indent: int) -> str:
    return "\n".join(" " * indent + line for line in code)
