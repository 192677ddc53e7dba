import pytest
from reactivex.abc import DisposableBase
from reactivex.disposable import Disposable

from rxws.rx.disposal import on_dispose


def test_watched_stays_itself() -> None:
    """A watched Disposable stays what it is."""
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


def test_without_flag() -> None:
    """A Disposable without a flag of its own is watched too."""

    class Own(DisposableBase):
        def dispose(self) -> None:
            pass

    told: list[int] = []
    own = Own()
    on_dispose(own, lambda: told.append(1))
    assert not getattr(own, "is_disposed", False)
    own.dispose()
    assert told == [1]


def test_property_flag() -> None:
    """A flag that is a property is left alone."""

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


def test_notified_after_disposal() -> None:
    """The watcher is notified when the disposal is done."""
    done: list[str] = []
    disposable = Disposable(lambda: done.append("action"))
    on_dispose(disposable, lambda: done.append("told"))
    disposable.dispose()
    assert done == ["action", "told"]


def test_notified_if_disposal_fails() -> None:
    """The watcher is notified even if the disposal fails."""
    told: list[int] = []
    disposable = Disposable(lambda: [][0])
    on_dispose(disposable, lambda: told.append(1))
    with pytest.raises(IndexError):
        disposable.dispose()
    assert told == [1]


def test_class_extended_once() -> None:
    """A class is extended once for all its objects."""
    first, second, unwatched = Disposable(), Disposable(), Disposable()
    on_dispose(first, print)
    on_dispose(second, print)
    assert type(first) is type(second)
    assert type(unwatched) is Disposable
