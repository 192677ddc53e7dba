"""Topics: Subjects that span processes. `rxws.topics` is this package, and you can call it.

`topics = rxws.topics("nats://localhost:4222")` connects all processes that use that NATS server.
`nats://host:4222/name` chooses the stream that keeps the messages, `tls://` is the same over TLS, and `memory://` is
for this process alone. Then `topics["room.tea"]` is a Subject. `rxws.topics.__call__` has the options.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Final, cast

from rxws.topics.from_url import open_topics
from rxws.topics.message import Gap, Message, TopicsError, Unpublished
from rxws.topics.names import token
from rxws.topics.presence.present import Presence, Present, TooManyMembers
from rxws.topics.publishing import Publisher, publisher
from rxws.topics.topic import Messages, Topic, Topics

__all__ = [
    "Gap",
    "Message",
    "Messages",
    "Presence",
    "Present",
    "Publisher",
    "TooManyMembers",
    "Topic",
    "Topics",
    "TopicsError",
    "Unpublished",
    "publisher",
    "token",
]


class TopicsPackage(ModuleType):
    """A package that can be called."""

    Gap = Gap
    Message = Message
    Messages = Messages
    Presence = Presence
    Present = Present
    Publisher = Publisher
    TooManyMembers = TooManyMembers
    Topic = Topic
    Topics = Topics
    TopicsError = TopicsError
    Unpublished = Unpublished
    publisher = staticmethod(publisher)
    token = staticmethod(token)
    __call__ = staticmethod(open_topics)
    __signature__ = inspect.signature(open_topics)  # Python 3.11 would leave out its first parameter


sys.modules[__name__].__class__ = TopicsPackage
topics: Final = cast(TopicsPackage, sys.modules[__name__])
"""This package, for type checkers: `from rxws.topics import topics`."""
