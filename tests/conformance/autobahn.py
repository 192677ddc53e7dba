"""Autobahn's cases against rxws: `python -m tests.conformance.autobahn server 1 2 3` prints the verdicts as JSON.

`kosoku` runs them. It has a process of its own, since it changes the interpreter for the cases, which are of Python 2.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

BASIC = (1, 2, 3, 4, 5, 6, 7, 9, 10)
"""The groups of the protocol itself; there is no group 8."""

COMPRESSION = (12, 13)

FEW = ("12.1.3", "12.5.11", "13.3.3", "13.4.2")
"""Cases of compression that take a second or two each: messages whole and in fragments, with contexts and windows."""

AT_ONCE = 8
"""Cases that run at once: many of them do nothing but wait. Not those of compression, which work, against the clock."""

SECONDS = 3600
"""In which a run must be done."""


class Verdict(NamedTuple):
    """What became of a case: `OK`, `non-strict`, `informational`, `unimplemented`, or what went wrong."""

    case: str
    verdict: str

    @property
    def group(self) -> int:
        return int(self.case.partition(".")[0])


ACCEPTED = ("OK", "non-strict", "informational", "unimplemented")


def verdict_of(result: Any) -> Verdict:
    """Join the two verdicts of a case, on its messages and on its closing handshake; both have to be good."""
    behavior, closing = result.behavior.value, result.behavior_close.value
    if behavior == "UNIMPLEMENTED" or (behavior in ("OK", "NON-STRICT", "INFORMATIONAL") and closing == "OK"):
        return Verdict(result.case_id, "OK" if behavior == "OK" else behavior.lower())
    if behavior == closing == "INFORMATIONAL":
        return Verdict(result.case_id, "informational")
    what = f"{result.result} {result.result_close} {result.was_not_clean_reason or ''} {result.received!s:.200}"
    return Verdict(result.case_id, f"{behavior}, closing {closing}: {what}")


async def judge(role: str, groups: Sequence[int | str]) -> list[Verdict]:
    """Run the cases of some groups, or some cases, against an echo of rxws in its own process, on our wire.

    The cases give a peer half a second, which a busy machine may take: those that fail are run again, one by one.
    """
    names = [str(group) if "." in str(group) else f"{group}.*" for group in groups]
    compress = any(int(name.partition(".")[0]) in COMPRESSION for name in names)
    found = dict(await run(role, names, 1 if compress else AT_ONCE, compress=compress))
    failed = [case for case, verdict in found.items() if verdict not in ACCEPTED]
    if failed:
        found |= await run(role, failed, 1, compress=compress)
    return [Verdict(*item) for item in found.items()]


async def run(role: str, cases: list[str], at_once: int, *, compress: bool) -> list[Verdict]:
    from kosoku import FailureError, run_fuzzingclient, run_fuzzingserver

    options = [f"--at-once={at_once}", *(["--compress"] if compress else [])]
    try:
        if role == "server":
            async with echo("server", *options) as peer:
                assert peer.stdout is not None
                url = f"ws://127.0.0.1:{int(await peer.stdout.readline())}/"
                results = await run_fuzzingclient(url, cases, concurrency=at_once)
        else:
            async with (
                run_fuzzingserver(cases, port=0) as server,
                echo("client", f"ws://{server.address}:{server.port}", *options) as peer,
            ):
                assert await peer.wait() == 0
                results = await server.get_result()
    except FailureError as failure:
        results = failure.results
    return [verdict_of(result) for result in results]


@asynccontextmanager
async def echo(*arguments: str) -> AsyncIterator[Process]:
    command = [sys.executable, "-m", "tests.conformance.echo", *arguments]
    peer = await create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    try:
        yield peer
    finally:
        if peer.returncode is None:
            assert peer.stdin is not None
            peer.stdin.close()
            await asyncio.wait_for(peer.wait(), 30)


async def verdicts(wire: str, role: str, groups: Sequence[int | str], timeout: float = SECONDS) -> list[Verdict]:
    """Judge in a process of its own, on a wire of our choice."""
    process = await create_subprocess_exec(
        *(sys.executable, "-m", "tests.conformance.autobahn", role, *map(str, groups)),
        env={**os.environ, "RXWS_WIRE": "public" if wire == "public" else ""},
        stdout=PIPE,
    )
    try:
        async with asyncio.timeout(timeout):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    return [Verdict(*found) for found in json.loads(printed)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("server", "client"))
    parser.add_argument("groups", nargs="+")
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(judge(arguments.role, arguments.groups))))


if __name__ == "__main__":
    main()
