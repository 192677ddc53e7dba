"""What the demo measures."""

from rxws.cli.demo.telemetry import difference, machine, read_counters, samples


def test_this_machine_can_be_sampled() -> None:
    sample = difference(read_counters(), read_counters())
    assert len(sample.cpu) == machine()["cores"]
    assert all(0 <= core <= 100 for core in sample.cpu)
    assert 0 < sample.memory <= 100


def test_shared_samples() -> None:
    """Two pages share the samples of one rate."""
    assert samples(5) is samples(5) is not samples(6)
