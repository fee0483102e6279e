"""The memory in Redis or Valkey."""

from storage.redis.checks import ServerUnfit
from storage.redis.inbox import RedisInbox
from storage.redis.store import RedisStore

__all__ = ["RedisInbox", "RedisStore", "ServerUnfit"]
