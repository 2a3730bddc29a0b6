"""The house rules that a reader should not have to take on trust, read off the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path
    for package in ("flagsite", "flags", "audit", "flagengine", "sdk/python")
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts
)
WRITES = {
    "save", "create", "update", "delete", "bulk_create", "bulk_update", "get_or_create",
    "update_or_create", "aupdate", "acreate", "adelete", "asave", "abulk_create",
}  # fmt: skip
AMBIGUOUS = {"create", "update"}
# What else may write rows, and why it is no change: who is connected and what reached them, what
# people were told and have read, when a token was last used, and the sign-ins that Django keeps.
TELEMETRY = {
    "flags/live/deliveries.py",
    "flags/management_api/authentication.py",
    "flags/notices/mailing.py",
    "flags/notices/reading.py",
    "flags/notices/telling.py",
    "flags/sign_in/seen.py",
}
TRACKED = {
    "Project", "Environment", "Flag", "FlagConfiguration", "Segment", "SegmentDefinition",
    "SegmentId", "SdkKey", "ApiToken", "Membership", "User", "Event", "Stream", "OutboxEntry",
    "Instance", "Delivery", "Notice",
}  # fmt: skip


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def calls_in(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Each call of a method, with the source of what it is called on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node, ast.unparse(node.func.value)


every_source = pytest.mark.parametrize("path", SOURCES, ids=name_of)


@every_source
def test_rows_are_written_by_changes_and_the_log_alone(path: Path):
    name = name_of(path)
    if name.startswith(("flags/changes/", "audit/")) or name in TELEMETRY:
        return
    for call, target in calls_in(parsed(path)):
        assert not writes_rows(call.func.attr, target), (
            f"{name}:{call.lineno} writes rows past submit: {target}.{call.func.attr}()"
        )


def writes_rows(method: str, target: str) -> bool:
    """Whether it is a write of a queryset, a manager or a row.

    `create` and `update` are also what dictionaries and others do, so those count only on what is
    visibly one of our tables; `save` and `delete` count on everything but the cache.
    """
    if method in AMBIGUOUS:
        return ".objects" in target or target.split("(")[0].split(".")[0] in TRACKED
    return method in WRITES and target != "cache"


@every_source
def test_there_are_no_receivers_and_no_lifecycle_hooks(path: Path):
    tree = parsed(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for decorator in node.decorator_list:
                assert "receiver" not in ast.unparse(decorator), f"{name_of(path)}:{node.lineno}"
    for call, target in calls_in(tree):
        signal = target.rsplit(".", 1)[-1] in {"pre_save", "post_save", "pre_delete", "post_delete"}
        assert not (signal and call.func.attr == "connect"), f"{name_of(path)}:{call.lineno}"


@every_source
def test_only_the_log_acts_on_commit(path: Path):
    if name_of(path) == "audit/log.py":
        return
    for call, _ in calls_in(parsed(path)):
        assert call.func.attr != "on_commit", f"{name_of(path)}:{call.lineno}"


@every_source
def test_the_environment_is_read_in_one_place(path: Path):
    if not name_of(path).startswith(("flags/", "audit/", "flagengine/")):
        return
    assert "os.environ" not in path.read_text()
    assert "getenv" not in path.read_text()


@every_source
def test_imports_are_at_the_top(path: Path):
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ast.walk(node):
                assert not isinstance(inner, ast.Import | ast.ImportFrom), (
                    f"{name_of(path)}:{inner.lineno} imports inside {node.name}: the floors are wrong"
                )


@every_source
def test_everything_is_caught_in_few_places_only(path: Path):
    """A blanket `except Exception` belongs to the loops over rows, the wake-up and the edges."""
    allowed = {
        "audit/outbox.py": "one subscriber's failure must not stop the others",
        "flags/changes/sweeping.py": "one row that the clock cannot do must not stop the others",
        "audit/wakeup.py": "whatever the broker does, the outbox has the row",
    }
    if name_of(path) in allowed or not name_of(path).startswith(("audit/", "flags/changes/")):
        return
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{name_of(path)}:{node.lineno}"
            assert ast.unparse(node.type) not in {"Exception", "BaseException"}, (
                f"{name_of(path)}:{node.lineno}"
            )


def test_there_are_no_drawers():
    drawers = {"utils.py", "util.py", "helpers.py", "common.py", "misc.py", "services.py"}

    assert [name_of(path) for path in SOURCES if path.name in drawers] == []
