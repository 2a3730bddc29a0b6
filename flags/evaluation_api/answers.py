"""Results as they travel: encoded once per result, and kept with the ruleset they belong to."""

from typing import Any

from flagengine import Result
from flags.evaluation_api.http import JSON, PRIVATE, Response, json_bytes
from flags.live.answers import public_message, reason_of, typed
from flags.live.rulesets import LoadedRuleset

STATUS_OF_ERROR = {"FLAG_NOT_FOUND": 404, "GENERAL": 500}
# Results are shared by all evaluations that end alike, so there are not many; should they ever not
# be, forgetting them bounds the memory.
MOST_KEPT = 100_000

# Headers a browser's app may send and read; the key is in a header, never in a cookie.
ALLOW_ORIGIN = (b"access-control-allow-origin", b"*")
EXPOSE = (b"access-control-expose-headers", b"ETag, Retry-After, Flagsite-Age")
HEADERS = (JSON, PRIVATE, ALLOW_ORIGIN, EXPOSE)


class Answer:
    """One result as a response of its own and as an item of a bulk answer."""

    __slots__ = ("response", "result")

    def __init__(self, result: Result, response: Response) -> None:
        # Kept, so that its identity is not given to another object while this is remembered.
        self.result = result
        self.response = response

    @property
    def item(self) -> bytes:
        return self.response.body


def answer_for(loaded: LoadedRuleset, kind: str, key: str, result: Result) -> Answer:
    """The encoded answer for a flag's result, as a key of this kind may see it."""
    kept: dict[int, Answer] = loaded.answers[kind]
    answer = kept.get(id(result))
    if answer is not None and answer.result is result:
        return answer
    answer = Answer(result, _encoded(loaded, kind, key, result))
    if result.error_code != "FLAG_NOT_FOUND":
        if len(kept) >= MOST_KEPT:
            kept.clear()
        kept[id(result)] = answer
    return answer


def not_found(key: str) -> Response:
    """The same words whether the flag does not exist or may not be seen by this key."""
    message = f"no flag {key!r:.200} in this environment"
    return _failure(key, "FLAG_NOT_FOUND", message, {})


def _encoded(loaded: LoadedRuleset, kind: str, key: str, result: Result) -> Response:
    metadata: dict[str, Any] = {"environmentVersion": result.environment_version}
    if result.flag_version is not None:
        metadata["flagVersion"] = result.flag_version
    if result.error_code == "FLAG_NOT_FOUND":
        return not_found(key)
    if result.error_code is not None:
        message = result.error_message or ""
        if kind == "client":
            message = public_message(result)
        return _failure(key, result.error_code, message, metadata)
    if kind == "server":
        if result.rule is not None:
            metadata["rule"] = result.rule
        if result.prerequisite is not None:
            metadata["prerequisite"] = result.prerequisite
    said: dict[str, Any] = {
        "key": key,
        "reason": reason_of(result),
        # Without a variation the app's own default is meant, and `value` is absent. Some clients
        # fail when `variant` is; a variation's key is never empty.
        "variant": result.variation or "",
        "metadata": metadata,
    }
    if result.variation is not None:
        said["value"] = typed(result.value, loaded.ruleset.flags[key].type)
    return Response(200, json_bytes(said), HEADERS)


def _failure(key: str, code: str, message: str, metadata: dict[str, Any]) -> Response:
    said: dict[str, Any] = {"key": key, "errorCode": code, "errorDetails": message}
    if metadata:
        said["metadata"] = metadata
    return Response(STATUS_OF_ERROR.get(code, 400), json_bytes(said), HEADERS)
