"""What one scrape has shown, another one does not take back."""

import os

import pytest
from aiohttp import web

import rxws
from rxws import processes
from rxws.processes.board import Board
from rxws.server.all_processes import numbers_of_all

OPENED = "rxws.server.opened_connections"


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    """Share numbers among three, as `rxws.run` does."""
    board = Board(3)
    monkeypatch.setattr(processes, "board", board)
    return board


@pytest.fixture
def hubs() -> list[rxws.Hub]:
    """Make a hub as each of the processes has it."""
    made = [rxws.setup(web.Application()) for _ in range(3)]
    for hub in made:
        hub.number = made[0].number
    return made


def opened(hub: rxws.Hub) -> float:
    total, _ = numbers_of_all(hub)
    return total.values[OPENED][""]


def test_numbers_that_were_scraped_are_told(board: Board, hubs: list[rxws.Hub]) -> None:
    """No counter falls when the next scrape asks another process, or the one that was asked has died."""
    first, second, _ = hubs
    first.opened_total = 5
    assert opened(first) == 5
    board.take(1)
    assert opened(second) == 5
    board.take(0)  # as one that is started in its place
    assert opened(second) == 5


def test_sums_do_not_depend_on_who_is_asked(board: Board, hubs: list[rxws.Hub]) -> None:
    """Fractions are added in the same order everywhere: a sum that is lower by a hair is a restart for Prometheus."""
    for hub, seconds in zip(hubs, (0.1, 0.2, 0.3), strict=True):
        hub._past.add_duration(seconds)

    def ask(place: int) -> float:
        board.own = place
        total, _ = numbers_of_all(hubs[place])
        return total.duration

    for place in range(3):
        ask(place)
    assert len({ask(place) for place in range(3)}) == 1


def test_several_hubs(board: Board) -> None:
    """Each hub of a process is told apart, such as that of a nested application with a limit of its own."""
    first, second = (rxws.setup(web.Application()) for _ in range(2))
    first.opened_total, second.opened_total = 5, 70
    assert (opened(first), opened(second)) == (5, 70)
    board.take(1)
    assert (opened(first), opened(second)) == (10, 140)


def test_dead_processes_leave_counters(board: Board, hubs: list[rxws.Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a process that has died, the counters stay, and what it had open does not."""
    first, second, _ = hubs
    first.opened_total = 5
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 2**22 + 1)  # above the highest that there is
        opened(first)
    board.take(1)
    total, by_place = numbers_of_all(second)
    assert total.values[OPENED] == {"": 5}
    assert "rxws.server.active_connections" not in by_place[0].values
