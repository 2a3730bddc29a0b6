"""The fixed cast and the builders that tests share; everything is made through `submit`."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password

from audit.facts import Actor
from flags.changes import (
    ConfigureFlag,
    CreateEnvironment,
    CreateFlag,
    CreateProject,
    CreateUser,
    SetMember,
    submit,
)
from flags.models import Flag, Project, User
from tests.kept_rows import make_or_put_back

OPERATOR = Actor.system("tests")
PASSWORD = "a long password for tests"
ENVIRONMENTS = ("development", "staging", "production")
# One hash for everybody: argon2 is slow on purpose.
_PASSWORD_HASH: list[str] = []


def make_accounts() -> None:
    """Accounts by role: owner (superuser), admin, editor, reviewer, viewer, outsider."""
    if not _PASSWORD_HASH:
        _PASSWORD_HASH.append(make_password(PASSWORD))
    submit(
        *(
            CreateUser(username=name, password_hash=_PASSWORD_HASH[0], is_superuser=name == "owner")
            for name in ("owner", "admin", "editor", "reviewer", "viewer", "outsider")
        ),
        actor=OPERATOR,
    )


def make_shop() -> None:
    """`shop`, with development, staging and production, and the cast as its members."""
    submit(CreateProject(project="shop", name="Shop"), actor=OPERATOR)
    submit(
        *(CreateEnvironment(project="shop", key=key, name=key.title()) for key in ENVIRONMENTS),
        *(
            SetMember(project="shop", username=role, role=role)  # type: ignore[arg-type]
            for role in ("admin", "editor", "reviewer", "viewer")
        ),
        actor=OPERATOR,
    )


@pytest.fixture
def users(db: None, request: pytest.FixtureRequest) -> dict[str, User]:
    """The accounts, and the project with them where the test asks for it."""
    if "project" in request.fixturenames:
        make_or_put_back("shop", lambda: (make_accounts(), make_shop()))
    else:
        make_or_put_back("accounts", make_accounts)
    return {user.username: user for user in User.objects.all()}


@pytest.fixture
def project(users: dict[str, User]) -> Project:
    return Project.objects.get(key="shop")


@pytest.fixture
def owner(users: dict[str, User]) -> Actor:
    return users["owner"].as_actor()


@pytest.fixture
def admin(users: dict[str, User]) -> Actor:
    return users["admin"].as_actor()


@pytest.fixture
def editor(users: dict[str, User]) -> Actor:
    return users["editor"].as_actor()


@pytest.fixture
def reviewer(users: dict[str, User]) -> Actor:
    return users["reviewer"].as_actor()


@pytest.fixture
def viewer(users: dict[str, User]) -> Actor:
    return users["viewer"].as_actor()


@pytest.fixture
def outsider(users: dict[str, User]) -> Actor:
    return users["outsider"].as_actor()


@pytest.fixture
def a_flag(project: Project) -> Callable[..., Flag]:
    """Builder: `a_flag("x", on=True, environment="production", type="string", variations=[…])`.

    Members of ConfigureFlag (`rules`, `fallthrough`, …) go to the named environment.
    """

    def build(
        key: str = "new-checkout",
        *,
        on: bool = False,
        environment: str = "production",
        rules: Any = None,
        fallthrough: Any = None,
        targets: Any = None,
        prerequisites: Any = None,
        **created: Any,
    ) -> Flag:
        configured = {
            name: value
            for name, value in {
                "rules": rules,
                "fallthrough": fallthrough,
                "targets": targets,
                "prerequisites": prerequisites,
                "enabled": on or None,
            }.items()
            if value is not None
        }
        changes: list[Any] = [CreateFlag(project="shop", key=key, **created)]
        if configured:
            changes.append(
                ConfigureFlag(project="shop", environment=environment, flag=key, **configured)
            )
        submit(*changes, actor=OPERATOR)
        return Flag.objects.get(project=project, key=key)

    return build
