"""What happens on a socket, kept: as values, as JSON lines, and as an Observable again."""

from rxws.recording.event import SOCKET_LANES, Event, Kind, RecordedError, Recording, Unreadable
from rxws.recording.lines import read, write
from rxws.recording.playback import replay
from rxws.recording.recorder import Kept, Recorder, keep, record

__all__ = [
    "SOCKET_LANES",
    "Event",
    "Kept",
    "Kind",
    "RecordedError",
    "Recorder",
    "Recording",
    "Unreadable",
    "keep",
    "read",
    "record",
    "replay",
    "write",
]
