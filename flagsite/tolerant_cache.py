"""A cache without which signing in goes on: what it would have remembered is then not known."""

import logging
from collections.abc import Callable
from typing import Any

from django.core.cache.backends.redis import RedisCache
from redis import RedisError

logger = logging.getLogger(__name__)


def tolerant(method: str, otherwise: Any) -> Callable[..., Any]:
    """The cache's own method, which gives `otherwise` while the store is away."""

    def call(cache: RedisCache, *args: Any, **options: Any) -> Any:
        try:
            return getattr(RedisCache, method)(cache, *args, **options)
        except RedisError:
            logger.warning("sign_in.uncounted")
            return otherwise

    return call


class TolerantCache(RedisCache):
    """Nothing is found and nothing is kept while the store is away.

    It counts failed sign-ins. Refusing everybody while they cannot be counted would turn an outage
    of the store into one of the whole site.
    """

    add = tolerant("add", True)
    set = tolerant("set", None)
    delete = tolerant("delete", False)

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return tolerant("get", default)(self, key, default, version)
