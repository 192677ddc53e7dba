import rxws
from rxws.client.states import Connecting, Open, States, Waiting
from tests.streams import watch


def test_states_replay_present() -> None:
    """The present state comes first, then every change, then the end."""
    states, because = States(print), OSError()
    early = watch(s=states)
    states.change(Open(None, 1))
    late = watch(s=states)
    states.change(Waiting(1.5, because))
    states.change(Open(None, 2))
    states.change(Open(None, 2))
    states.change(rxws.Closed(rxws.Close()))
    tail = [("s", state) for state in (Waiting(1.5, because), Open(None, 2), Open(None, 2), rxws.Closed(rxws.Close()))]
    assert early == [("s", Connecting(1)), ("s", Open(None, 1)), *tail, "s|"]
    assert late == [("s", Open(None, 1)), *tail, "s|"]
    assert watch(s=states) == [("s", rxws.Closed(rxws.Close())), "s|"]


def test_states_are_values_to_match() -> None:
    match Open("chat", 3):
        case rxws.Open(protocol, attempt):
            assert (protocol, attempt) == ("chat", 3)
