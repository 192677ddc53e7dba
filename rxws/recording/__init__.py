"""What happens on a socket, kept: as values, as JSON lines, and as an Observable again."""

from rxws.recording.event import SOCKET_LANES, Event, Kind, RecordedError, Recording, Unreadable
from rxws.recording.lines import read, write

__all__ = ["SOCKET_LANES", "Event", "Kind", "RecordedError", "Recording", "Unreadable", "read", "write"]
