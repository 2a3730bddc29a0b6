"""An OpenFeature provider: the standard API over a FlagClient.

from openfeature import api
from flagclient import FlagClient
from flagclient.openfeature import FlagsiteProvider

api.set_provider_and_wait(FlagsiteProvider(FlagClient(url, key)))
api.get_client().get_boolean_value("new-checkout", False)
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import ErrorCode, ProviderFatalError, ProviderNotReadyError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from flagclient.client import FlagClient
from flagclient.details import Details
from flagclient.state import State, Status

_SCALARS = frozenset({str, int, float, bool, type(None)})


class FlagsiteProvider(AbstractProvider):
    """Answers OpenFeature from a FlagClient, which it closes when OpenFeature shuts it down.

    Datetimes in a context become RFC 3339 text in UTC, for the operators `before` and `after`.
    `ready_timeout` is how many seconds OpenFeature waits for the first ruleset.
    """

    def __init__(self, client: FlagClient, *, ready_timeout: float = 10.0) -> None:
        super().__init__()
        self.client = client
        self._ready_timeout = ready_timeout
        self._subscriptions: list[Callable[[], None]] = []

    def get_metadata(self) -> Metadata:
        return Metadata(name="Flagsite")

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        ready = self.client.wait_until_ready(self._ready_timeout)
        # Subscribed only now: OpenFeature itself announces how initialize() ended.
        self._subscriptions = [
            self.client.on_change(self._flags_changed),
            self.client.on_state(self._state_changed),
        ]
        state = self.client.state
        if not ready and state.version is None:
            if state.status is Status.REFUSED:
                raise ProviderFatalError(state.problem)
            raise ProviderNotReadyError(state.problem or "no ruleset has arrived yet")

    def shutdown(self) -> None:
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._subscriptions = []
        self.client.close()

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        return self._resolve(
            self.client.boolean_details, flag_key, default_value, evaluation_context
        )

    def resolve_string_details(
        self,
        flag_key: str,
        default_value: str,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[str]:
        return self._resolve(
            self.client.string_details, flag_key, default_value, evaluation_context
        )

    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[int]:
        return self._resolve(
            self.client.integer_details, flag_key, default_value, evaluation_context
        )

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        return self._resolve(self.client.float_details, flag_key, default_value, evaluation_context)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        return self._resolve(self.client.json_details, flag_key, default_value, evaluation_context)

    def _resolve(
        self,
        evaluate: Callable[[str, Any, Mapping[str, Any] | None], Details[Any]],
        flag_key: str,
        default: Any,
        evaluation_context: EvaluationContext | None,
    ) -> FlagResolutionDetails[Any]:
        try:
            context = _context_of(evaluation_context)
        except (RecursionError, OverflowError, ValueError) as error:
            return FlagResolutionDetails(
                default,
                error_code=ErrorCode.INVALID_CONTEXT,
                error_message=f"the context cannot be read: {type(error).__name__}",
                reason=Reason.ERROR,
            )
        return _resolution(evaluate(flag_key, default, context))

    def _flags_changed(self, flags: frozenset[str], version: int) -> None:
        self.emit_provider_configuration_changed(
            ProviderEventDetails(
                flags_changed=sorted(flags), metadata={"environmentVersion": version}
            )
        )

    def _state_changed(self, state: State) -> None:
        details = ProviderEventDetails(message=state.problem)
        if state.status is Status.READY:
            self.emit_provider_ready(details)
        elif state.status is Status.STALE:
            self.emit_provider_stale(details)
        elif state.status is Status.REFUSED:
            # Not PROVIDER_FATAL: OpenFeature would then answer defaults although the last known
            # rules are still there.
            details.error_code = ErrorCode.GENERAL
            self.emit_provider_error(details)


def _context_of(given: EvaluationContext | None) -> dict[str, Any]:
    if given is None:
        return {}
    context = {
        name: value if type(value) in _SCALARS else _json_of(value)
        for name, value in given.attributes.items()
    }
    if given.targeting_key is not None:
        context["targetingKey"] = given.targeting_key
    return context


def _json_of(value: Any) -> Any:
    if isinstance(value, datetime):
        # A datetime without a zone is read as UTC, as the evaluation contract reads such text.
        return (value if value.tzinfo is None else value.astimezone(UTC)).isoformat()
    if isinstance(value, date):
        return f"{value.isoformat()}T00:00:00"
    if isinstance(value, Mapping):
        return {name: _json_of(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_json_of(part) for part in value]
    return value


def _resolution(details: Details[Any]) -> FlagResolutionDetails[Any]:
    metadata: dict[str, bool | int | float | str] = {}
    if details.flag_version is not None:
        metadata["flagVersion"] = details.flag_version
    if details.environment_version is not None:
        metadata["environmentVersion"] = details.environment_version
    if details.rule is not None:
        metadata["rule"] = details.rule
    return FlagResolutionDetails(
        details.value,
        error_code=None if details.error_code is None else ErrorCode(details.error_code),
        error_message=details.error_message,
        # OpenFeature has no name for a failed prerequisite: the flag counts as off.
        reason="DISABLED" if details.reason == "PREREQUISITE_FAILED" else details.reason,
        variant=details.variation,
        flag_metadata=metadata,
    )
