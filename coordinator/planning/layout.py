"""What a table is for and what its columns are: by their names, in the words that ERPs use, or as said."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from coordinator.planning.cells import is_date, plain
from coordinator.planning.reading import Table

WORDS: dict[str, str] = {
    "date": (
        "date day datum tag data fecha jour ds calendarday saledate salesdate "
        "postingdate buchungsdatum belegdatum orderdate timestamp datetime transactiondate verkaufsdatum invoicedate"
    ),
    "item": (
        "item sku product article artikel artikelnummer artikelnr articleno itemid itemno skuid productid "
        "material materialnummer materialnr producto produit itemcode ean gtin"
    ),
    "location": (
        "location store storeid storenr shop filiale filialnummer filialnr site plant werk standort lager "
        "warehouse lagerort branch outlet tienda magasin stockpoint"
    ),
    "quantity": (
        "quantity qty sales sold units unitssold unitsales menge absatz absatzmenge verkauf verkaufsmenge "
        "demand quantitysold salesqty salesquantity cantidad quantite bedarf"
    ),
    "available": (
        "available availability instock stock stocklevel verfuegbar verfugbar bestand endofdaystock closingstock"
    ),
    "on_hand": "onhand stockonhand onhandqty onhandquantity initstock lagerbestand bestandsmenge",
    "on_order": "onorder openorders ordered bestellt offenebestellungen onorderqty intransit unterwegs",
    "from": "from source supplier vendor lieferant von proveedor fournisseur suppliername",
    "to": "to target destination nach ziel",
    "lead_time": (
        "leadtime leadtimedays leadtimeindays lieferzeit lieferzeittage wiederbeschaffungszeit vlt vendorleadtime"
    ),
    "ordered": "ordered ordereddate orderdate bestelldatum dateordered placed",
    "received": ("received receiveddate receiptdate wareneingang eingangsdatum deliverydate delivered datereceived"),
    "order_multiple": (
        "ordermultiple multiple packsize casepack caseqty casesize packungsgroesse ve gebinde roundingvalue vpe"
    ),
    "min_order": "moq minorder minimumorder minorderqty mindestmenge mindestbestellmenge minimumorderquantity",
    "review_days": "reviewdays orderdays orderday ordercalendar planningcalendar bestelltage bestelltag",
    "review_period": "reviewperiod ordercycle orderfrequency bestellrhythmus",
    "closed_days": "closeddays closedweekdays closedon ruhetag ruhetage schliesstage",
    "holiday": "holiday holidays feiertag feiertage bankholiday closure closedate closeddate schliesstag",
    "load": "load truckload truckcapacity transportcapacity maxload ladung lkwladung ladekapazitaet ladekapazitat",
    "order_cost": "ordercost fixedordercost orderingcost costperorder linecost bestellkosten bestellfixkosten",
    "joint_order_cost": (
        "jointordercost supplierordercost deliverycost deliveryfee orderfee lieferpauschale lieferkosten anfahrtskosten"
    ),
    "shelf_life": "shelflife shelflifedays haltbarkeit haltbarkeittage haltbarkeitstage mhdtage resthaltbarkeit",
    "waste_cost": "wastecost disposalcost spoilagecost entsorgungskosten",
    "capacity": "capacity storagecapacity lagerkapazitaet lagerkapazitat kapazitaet kapazitat",
    "cost": "cost unitcost procurementcost purchaseprice einstandspreis ek einkaufspreis costprice",
    "price": "price unitprice sellingprice salesprice listprice vk verkaufspreis preis retailprice",
    "unit": "unit unitsize step",
    "fill_rate": "fillrate servicelevel servicegrad lieferbereitschaft targetfillrate",
}
_ROLES: dict[str, list[str]] = {}
for _role, _words in WORDS.items():
    for _word in _words.split():
        _ROLES.setdefault(_word, []).append(_role)

KINDS = {  # what a table is for: the columns that it must have
    "receipts": ("item", "ordered", "received"),
    "supply": ("item", "from", "lead_time"),
    "stock": ("item", "on_hand"),
    "sales": ("date", "quantity"),
    "calendar": ("holiday",),
    "items": ("item",),
}
_DAY = re.compile(r"(?:d|day|tag)[_ -]?([0-9]{1,5})", re.IGNORECASE)
TOTALS = frozenset(
    (
        *("total", "totals", "sum", "grandtotal", "subtotal"),
        *("summe", "gesamt", "gesamtsumme", "zwischensumme", "gesamtergebnis", "insgesamt"),
    )
)


@dataclass
class Layout:
    """What a table is for, and which of its columns is what."""

    kind: str  # of `KINDS`
    roles: dict[str, str]  # role -> column
    form: str = "long"  # or `items`: a column per item; `days`: a column per day
    values: list[str] = field(default_factory=list)  # the columns that hold quantities, unless the form is long


def word(text: object) -> str:
    """A header without case, accents, blanks and signs."""
    bare = unicodedata.normalize("NFKD", str(text).casefold().replace("ß", "ss"))
    return "".join(letter for letter in bare if letter.isalnum())


def layout_of(table: Table, given: Mapping[str, str], kind: str | None = None) -> Layout:
    """Find out what a table is for.

    Args:
        table: as it was read.
        given: role -> column, what was said; it counts where the table has that column.
        kind: what it is for, if that was said.

    Raises:
        ValueError: one line; it cannot be told.
    """
    columns = [str(column) for column in table.cells]
    roles = {role: column for role, column in given.items() if column in columns}
    for column in columns:
        for role in _ROLES.get(word(column), ()):
            if column not in roles.values() and role not in roles and role not in given:
                roles[role] = column
                break
    days = [column for column in columns if _DAY.fullmatch(column) or is_date(column)]
    if len(days) > max(3, len(columns) / 2) and kind in (None, "sales"):
        kept = {role: column for role, column in roles.items() if column not in days}
        return Layout("sales", {r: c for r, c in kept.items() if r in ("item", "location")}, "days", days)
    roles = _by_use(roles, kind)
    fits = [name for name, needed in KINDS.items() if set(needed) <= set(roles)]
    if kind in (None, "sales") and _has_items_as_columns(table, roles):
        taken = {roles[role] for role in ("date", "location") if role in roles}
        rest = [column for column in columns if column not in taken]
        if values := [column for column in rest if _numeric(table, column)]:
            if len(values) < len(rest):
                raise ValueError(
                    f"{table.name}: which column is the quantity? give --column quantity=NAME; columns are "
                    f"{', '.join(map(repr, columns[:12]))}"
                )
            return Layout(
                "sales", {role: roles[role] for role in ("date", "location") if role in roles}, "items", values
            )
    if kind is None and not fits:
        words = "; ".join(f"{name}: {', '.join(needed)}" for name, needed in KINDS.items())
        raise ValueError(
            f"{table.name}: cannot tell what it is for from its columns {', '.join(map(repr, columns[:12]))}: give "
            f"--column ROLE=NAME ({words})"
        )
    kind = kind or fits[0]
    if missing := [role for role in KINDS[kind] if role not in roles]:
        raise ValueError(
            f"{table.name} as {kind} needs a column {missing[0]}: give --column {missing[0]}=NAME; columns are "
            f"{', '.join(map(repr, columns[:12]))}"
        )
    return Layout(kind, roles)


def _has_items_as_columns(table: Table, roles: Mapping[str, str]) -> bool:
    """Whether days may be rows and items columns; a calendar has no numbers beside its dates and names."""
    if "date" not in roles or {"quantity", "received"} & set(roles):
        return False
    rest = [str(column) for column in table.cells if str(column) not in roles.values()]
    return "holiday" not in roles or any(_numeric(table, column) for column in rest)


def _by_use(roles: dict[str, str], kind: str | None) -> dict[str, str]:
    """What a word means beside others: in a list of suppliers `store` is where they deliver to."""
    if "available" in roles and not {"date", "quantity"} & set(roles) and "on_hand" not in roles:
        roles["on_hand"] = roles.pop("available")
    if "from" in roles and "to" not in roles and "location" in roles:
        roles["to"] = roles.pop("location")
    if "to" in roles and "from" not in roles and "lead_time" in roles and "location" in roles:
        roles["from"] = roles.pop("location")
    if "received" in roles and "ordered" not in roles and {"date", "on_order"} & set(roles):
        roles["ordered"] = roles.pop("on_order" if "on_order" in roles else "date")
    if kind == "calendar" and "date" in roles:
        roles["holiday"] = roles.pop("date")  # another column names it
    return roles


def _numeric(table: Table, column: str) -> bool:
    """Whether a column holds numbers, as far as its first cells show."""
    if pd.api.types.is_numeric_dtype(table.cells[column].dtype):
        return True
    seen = [plain(cell) for cell in table.texts(column)[:50]]
    return all(re.fullmatch(r"[+-]?[0-9][0-9.,' \u00a0]*|", cell, re.ASCII) is not None or not cell for cell in seen)


def day_number(column: str) -> int | None:
    """The number of a day as in `d_17`; None where the column is named by a date."""
    found = _DAY.fullmatch(column)
    return int(found[1]) if found else None
