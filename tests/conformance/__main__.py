"""All cases in both roles, on both wires, and the page of results: `make conformance`, up to half an hour."""

from __future__ import annotations

import asyncio

from tests.conformance.autobahn import BASIC, COMPRESSION, Verdict, verdicts
from tests.conformance.report import COLUMNS, PAGE, Column, render

ROLES = ("server", "client")


async def main() -> None:
    results: dict[Column, list[Verdict]] = {column: [] for column in COLUMNS}
    for groups, wires in ((BASIC, ("fast",)), (BASIC, ("public",)), (COMPRESSION, ("fast", "public"))):
        found = await asyncio.gather(*(verdicts(wires[-1], role, groups) for role in ROLES))
        for role, some in zip(ROLES, found, strict=True):
            print(f"{role}, {' and '.join(wires)}: {len(some)} cases of groups {groups[0]} to {groups[-1]}", flush=True)
            for wire in wires:
                results[Column(role, wire)] += some
    PAGE.write_text(render(results))


if __name__ == "__main__":
    asyncio.run(main())
