"""Names by which this machine answers to itself alone, so that no other site's name can be pointed at it."""

from __future__ import annotations

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def hosts_of(host: str) -> frozenset[str] | None:
    """The names that a server bound to `host` answers to; None: any, if that is not loopback."""
    return LOOPBACK if host in LOOPBACK else None


def name_in(header: str) -> str:
    """The name in a Host header, without the port."""
    name = header.partition("]")[0].lstrip("[") if header.startswith("[") else header.partition(":")[0]
    return name.lower()


def answers_to(hosts: frozenset[str] | None, header: str) -> str | None:
    """Why a request for another host is not answered; None: it is."""
    if hosts is None or name_in(header) in hosts:
        return None
    return f"this server answers to {', '.join(sorted(hosts))}; use one of these names"
