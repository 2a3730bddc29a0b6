"""/ws/v1/evaluations: client keys follow the answers for one context, sent when they change."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from flagengine import Result
from flags.live.answers import public_message, reason_of, typed
from flags.live.environments import LiveEnvironment
from flags.live.outbox import Frame
from flags.live.process import live
from flags.live.receipts import Connection
from flags.live.rulesets import Advance, Delta, LoadedRuleset
from flags.websockets.sockets import (
    Close,
    Closing,
    LiveSocket,
    environment_of,
    instance_in,
    key_in,
    refuse_what_is_gone,
    text_in,
    version_in,
)

# Contexts evaluated again before anything else gets its turn on the event loop.
AT_ONCE = 20
MOST_KEPT = 100_000


class EvaluationSocket(LiveSocket):
    """One browser, or whatever else holds a public key."""

    environment: LiveEnvironment | None = None
    connection: Connection | None = None
    context: dict[str, Any]
    _answers: dict[str, str]

    async def hear(self, kind: str, said: dict[str, Any]) -> None:
        if kind == "hello" and not self.is_greeted:
            await self._hello(said)
        elif kind == "context" and self.environment is not None:
            self.context = _context_in(said)
            self.outbox.put(self._everything())
        elif kind == "receipt" and self.connection is not None:
            live.receipts.received(self.connection, version_in(said))
        else:
            raise Closing(Close.MALFORMED, "expected a hello, then contexts and receipts")

    async def _hello(self, said: dict[str, Any]) -> None:
        context, instance = _context_in(said), instance_in(said)
        key = await key_in(said)
        if key.is_server:
            raise Closing(Close.WRONG_KIND, "expected a client key")
        environment = await environment_of(key)
        if self.is_closing:
            return
        refuse_what_is_gone(key, environment)
        self.key, self.is_greeted, self.context = key, True, context
        self.environment = environment
        self.connection = live.receipts.connected(
            environment=environment.id,
            instance=instance,
            kind=key.kind,
            name=text_in(said, "name"),
            sdk=text_in(said, "sdk"),
        )
        self.outbox.put(self._everything())
        environment.readers.add(self)
        environment.watch_the_clock()

    def advance(self, environment: LiveEnvironment, advance: Advance) -> None:
        _again.ask(self, advance.deltas)

    def flip(self, environment: LiveEnvironment) -> None:
        _again.ask(self, ())

    def catch_up(self, state: str | None) -> Frame | None:
        return self._everything()

    def evaluate_again(self, deltas: Iterable[Delta]) -> None:
        """Send what is answered differently now; nothing when nothing is."""
        if self.is_closing or self.environment is None:
            return
        before, now = self._answers, answers_for(self.environment.loaded, self.context)
        changed = {key: answer for key, answer in now.items() if before.get(key) != answer}
        gone = dict.fromkeys(before.keys() - now.keys(), "null")
        if not changed and not gone:
            return
        self._answers = now
        self.outbox.put(_frame(self.environment.loaded, changed | gone))
        if self.connection is not None:
            for delta in deltas:
                live.receipts.pushed(self.connection, delta.version, delta.committed_at)

    def _everything(self) -> Frame:
        assert self.environment is not None
        self._answers = answers_for(self.environment.loaded, self.context)
        return _frame(self.environment.loaded, self._answers)

    def left(self) -> None:
        if self.environment is not None:
            self.environment.readers.discard(self)
        if self.connection is not None:
            live.receipts.disconnected(self.connection)
            self.connection = None


class _Again:
    """Evaluates open contexts again, a few at a time: many of them must not hold up the loop."""

    def __init__(self) -> None:
        self._waiting: dict[EvaluationSocket, list[Delta]] = {}
        self._task: asyncio.Task[None] | None = None

    def ask(self, socket: EvaluationSocket, deltas: Iterable[Delta]) -> None:
        self._waiting.setdefault(socket, []).extend(deltas)
        if self._task is None or self._task.done():
            self._task = live.spawn(self._run())

    async def _run(self) -> None:
        while self._waiting:
            for socket in list(self._waiting)[:AT_ONCE]:
                socket.evaluate_again(self._waiting.pop(socket))
            await asyncio.sleep(0)


_again = _Again()


def answers_for(loaded: LoadedRuleset, context: dict[str, Any]) -> dict[str, str]:
    """Flag → encoded answer, of every flag that is visible to clients."""
    kept: dict[int, tuple[Result, str]] = loaded.answers["socket"]
    answers = {}
    for key, result in loaded.ruleset.evaluate_all(context, client_visible_only=True).items():
        found = kept.get(id(result))
        if found is None or found[0] is not result:
            if len(kept) >= MOST_KEPT:
                kept.clear()
            found = kept[id(result)] = (result, _encoded(result, loaded.ruleset.flags[key].type))
        answers[key] = found[1]
    return answers


def _encoded(result: Result, type_: str | None) -> str:
    said: dict[str, Any]
    if result.error_code is not None:
        said = {"errorCode": result.error_code, "errorDetails": public_message(result)}
    else:
        said = {"variant": result.variation or "", "reason": reason_of(result)}
        if result.variation is not None:
            said["value"] = typed(result.value, type_)
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False)


def _frame(loaded: LoadedRuleset, answers: dict[str, str]) -> Frame:
    flags = ",".join(f"{json.dumps(key)}:{answer}" for key, answer in answers.items())
    return Frame(
        f'{{"type":"evaluations","version":{loaded.version},"flags":{{{flags}}}}}', loaded.state
    )


def _context_in(said: dict[str, Any]) -> dict[str, Any]:
    context = said.get("context", {})
    if not isinstance(context, dict):
        raise Closing(Close.MALFORMED, "context: expected an object")
    return context
