"""The engine over NATS: core NATS for what is live, JetStream for what is kept."""

from rxws.topics.engines.nats.engine import NatsEngine

__all__ = ["NatsEngine"]
