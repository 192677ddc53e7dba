"""Quantities over time, below the lanes of a diagram."""

from xml.etree import ElementTree

from rxws.marbles.picture import Sheet
from rxws.marbles.trace import Trace

NAMESPACE = "{http://www.w3.org/2000/svg}"


def drawn(*traces: Trace) -> dict[str | None, list[str]]:
    """Draw traces below one lane of ten seconds, and give the texts and paths by class."""
    root = ElementTree.fromstring(Sheet(["a"], 0.0, 10.0, 840).draw([], "told", {}, traces=traces))
    found: dict[str | None, list[str]] = {}
    for node in root.iter():
        if node.tag in (f"{NAMESPACE}text", f"{NAMESPACE}path"):
            found.setdefault(node.get("class"), []).append(node.get("d") or node.text or "")
    return found


def age(*points: tuple[float, float | None]) -> Trace:
    return Trace("age", points, "{:.1f} s".format, 0.2)


def test_line() -> None:
    """A trace is a line from its scale's zero to its highest value, with a gap where it has none."""
    found = drawn(age((0, 0.0), (5, 0.4), (6, None), (7, 0.4), (10, 0.2)))
    first, second = found["trace"][0][1:].split("M")
    (left, zero), (middle, top) = (map(float, point.split()) for point in first.split("L"))
    assert zero - top == 40
    (_, again), (right, half) = (map(float, point.split()) for point in second.split("L"))
    assert (again, half) == (top, zero - 20)
    assert middle == (left + right) / 2
    assert (found["high"], found["now"], found["name"]) == (["0.4 s"], ["0.2 s"], ["age"])


def test_scale() -> None:
    """Small values do not look large: the scale has a least height."""
    found = drawn(age((0, 0.1), (1, 0.1)))
    assert found["high"] == ["0.2 s"]
    heights = {point.split()[1] for point in found["trace"][0][1:].split("L")}
    assert len(heights) == 1


def test_nothing() -> None:
    """A trace without values has a name and a scale; one that has none now says none."""
    found = drawn(age())
    assert ("trace" in found, "now" in found, found["high"]) == (False, False, ["0.2 s"])
    assert "now" not in drawn(age((0, 0.1), (1, None)))
    assert age().told() == "age: nothing yet."


def test_rows() -> None:
    """Each trace has a row of its own, above the times."""
    root = ElementTree.fromstring(Sheet(["a"], 0.0, 10.0, 840).draw([], "", {}, traces=[age(), age()]))
    rows = [float(node.get("y", 0)) for node in root.iter(f"{NAMESPACE}text") if node.get("class") == "name"]
    times = [float(node.get("y", 0)) for node in root.iter(f"{NAMESPACE}text") if node.get("class") == "time"]
    assert rows[1] - rows[0] == 64
    assert max(rows) + 12 < min(times) - 20


def test_told() -> None:
    """The text alternative says the last value, the least and the most."""
    assert age((0, 0.1), (1, None), (2, 0.3), (3, None)).told() == "age: 0.3 s now, 0.1 s to 0.3 s before."
