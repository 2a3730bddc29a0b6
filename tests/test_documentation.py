"""What the documents must say, held against the code: nothing undocumented, nothing made up."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from flagengine import result
from flagengine.operators import OPERATORS
from flags import access
from flags.changes.base import KINDS
from flags.management_api import errors
from flags.websockets.sockets import Close

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
NOT_OURS = {".venv", ".git", "node_modules", "vendor", ".pytest_cache"}
PAGES = sorted(
    page for page in ROOT.rglob("*.md") if not NOT_OURS & set(page.relative_to(ROOT).parts)
)
READERS = [ROOT / "flagsite" / name for name in ("settings.py", "environment.py", "embedded/up.py")]
LARGEST_PICTURE_BYTES = 300_000


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(name: str) -> str:
    return (DOCS / name).read_text()


def variables_read() -> set[str]:
    """The variables whose names stand as the first argument of a call, or after the mapping."""
    found = set()
    for path in READERS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                found |= {arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant)}
    return {name for name in found if isinstance(name, str) and is_variable(name)}


def is_variable(name: str) -> bool:
    return (
        re.fullmatch(r"FLAGSITE_[A-Z_]+|DATABASE_URL|REDIS_URL|WEB_CONCURRENCY", name) is not None
    )


def rows_of(page: str) -> set[str]:
    """What stands in backticks at the beginning of a table's row."""
    return set(re.findall(r"^\| `([^`]+)`", page, re.MULTILINE))


def test_every_variable_has_a_row_and_every_row_is_read():
    rows = {row for row in rows_of(text_of("configuration.md")) if is_variable(row)}

    assert rows == variables_read()


def test_every_kind_of_event_has_a_row_and_every_row_is_a_kind():
    rows = {row for row in rows_of(text_of("events.md")) if "." in row}

    assert rows == set(KINDS)


def test_every_operator_is_explained():
    page = text_of("evaluation.md")

    assert [operator for operator in sorted(OPERATORS) if f"`{operator}`" not in page] == []


def test_every_reason_and_error_code_of_an_evaluation_is_explained():
    codes = {value for name, value in vars(result).items() if name.isupper() and name == value}
    page = text_of("evaluation.md")

    assert "FLAG_NOT_FOUND" in codes
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []


def test_every_problem_that_the_management_api_answers_is_explained():
    names = {*errors._NAMES.values(), *(name for _, _, name in errors._STATUS), "failed"}
    page = text_of("management-api.md")

    assert [name for name in sorted(names) if f"`{name}`" not in page] == []


def test_every_action_is_explained_as_it_is_judged():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| `(\w+)` \|", text_of("access.md"), re.MULTILINE)

    assert sorted(rows) == sorted(
        (action.value, access.LOWEST_ROLE[action].value, access.SCOPE[action])
        for action in access.Action
    )


def test_every_close_code_of_a_websocket_is_explained():
    page = text_of("protocol.md")

    assert [code.name for code in Close if str(code.value) not in page] == []


def test_every_command_is_explained():
    commands = (ROOT / "flags" / "management" / "commands").glob("[!_]*.py")
    page = text_of("commands.md")

    assert [command.stem for command in commands if f"`{command.stem}" not in page] == []


def links_in(page: Path) -> Iterator[str]:
    """The files that a page's links and pictures name."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not re.match(r"[a-z]+:|#", target):
            yield target.partition("#")[0]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path):
    assert [target for target in links_in(page) if not (page.parent / target).exists()] == []


def test_the_readme_leads_to_every_document():
    linked = set(links_in(ROOT / "README.md"))

    assert {f"docs/{page.name}" for page in DOCS.glob("*.md")} - linked == set()


@pytest.mark.parametrize("picture", sorted(DOCS.rglob("*.png")), ids=name_of)
def test_pictures_are_quick_to_load(picture: Path):
    assert picture.stat().st_size < LARGEST_PICTURE_BYTES
