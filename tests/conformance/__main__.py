"""All cases in both roles, on both wires, and the page of results: `make conformance`, up to half an hour."""

from __future__ import annotations

import asyncio
from itertools import product

from tests.conformance.autobahn import BASIC, COMPRESSION, Verdict, verdicts
from tests.conformance.report import COLUMNS, PAGE, Column, render

ROLES = ("server", "client")


async def main() -> None:
    results: dict[Column, list[Verdict]] = {column: [] for column in COLUMNS}
    for groups, wire in product((BASIC, COMPRESSION), ("fast", "public")):
        found = await asyncio.gather(*(verdicts(wire, role, groups) for role in ROLES))
        for role, some in zip(ROLES, found, strict=True):
            print(f"{role}, {wire}: {len(some)} cases of groups {groups[0]} to {groups[-1]}", flush=True)
            results[Column(role, wire)] += some
    PAGE.write_text(render(results))


if __name__ == "__main__":
    asyncio.run(main())
