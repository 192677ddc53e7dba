import pytest
from reactivex.abc import DisposableBase
from reactivex.disposable import Disposable

from rxws.rx.disposal import Linked, on_dispose


def test_a_watched_disposable_stays_what_it_is() -> None:
    done: list[str] = []
    disposable = Disposable(lambda: done.append("action"))
    on_dispose(disposable, lambda: done.append("noticed"))
    assert isinstance(disposable, Disposable)
    assert (type(disposable).__name__, disposable.is_disposed) == ("Disposable", False)
    disposable.dispose()
    disposable.dispose()
    assert disposable.is_disposed
    assert sorted(done) == ["action", "noticed"]


def test_all_who_watch_are_told_once() -> None:
    disposable, told = Disposable(), list[int]()
    on_dispose(disposable, lambda: told.append(1))
    on_dispose(disposable, lambda: told.append(2))
    disposable.dispose()
    on_dispose(disposable, lambda: told.append(3))
    assert told == [1, 2, 3]


def test_one_without_a_flag_of_its_own_is_watched_too() -> None:
    class Own(DisposableBase):
        def dispose(self) -> None:
            pass

    told: list[int] = []
    own = Own()
    on_dispose(own, lambda: told.append(1))
    assert not getattr(own, "is_disposed", False)
    own.dispose()
    assert told == [1]


def test_a_flag_that_is_a_property_is_left_alone() -> None:
    class Computed(DisposableBase):
        done = False

        @property
        def is_disposed(self) -> bool:
            return self.done

        def dispose(self) -> None:
            self.done = True

    told: list[int] = []
    computed = Computed()
    on_dispose(computed, lambda: told.append(1))
    computed.dispose()
    assert (told, computed.is_disposed) == ([1], True)


def test_a_flag_set_to_false_is_no_end() -> None:
    told: list[int] = []
    disposable = Disposable()
    on_dispose(disposable, lambda: told.append(1))
    disposable.is_disposed = False
    assert told == []


def test_who_watches_is_told_when_the_disposal_is_done() -> None:
    done: list[str] = []
    disposable = Disposable(lambda: done.append("action"))
    on_dispose(disposable, lambda: done.append("told"))
    disposable.dispose()
    assert done == ["action", "told"]


def test_who_watches_is_told_even_if_the_disposal_fails() -> None:
    told: list[int] = []
    disposable = Disposable(lambda: [][0])
    on_dispose(disposable, lambda: told.append(1))
    with pytest.raises(IndexError):
        disposable.dispose()
    assert told == [1]


def test_a_class_is_extended_once_for_all_its_objects() -> None:
    first, second, unwatched = Disposable(), Disposable(), Disposable()
    on_dispose(first, print)
    on_dispose(second, print)
    assert type(first) is type(second)
    assert type(unwatched) is Disposable


def test_what_is_linked_is_disposed_once_with_its_owner_even_if_it_raises() -> None:
    log: list[str] = []

    def fail() -> None:
        log.append("disposable")
        raise ZeroDivisionError

    linked = Linked(Disposable(fail), Disposable(lambda: log.append("owner")))
    on_dispose(linked, lambda: log.append("watcher"))
    with pytest.raises(ZeroDivisionError):
        linked.dispose()
    linked.dispose()
    assert (log, linked.is_disposed) == (["disposable", "owner", "watcher"], True)
