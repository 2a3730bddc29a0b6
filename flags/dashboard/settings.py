"""Settings of a project: what it is called, its environments with their SDK keys, its members."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from flags.changes import (
    UNSET,
    Change,
    CreateEnvironment,
    CreateSdkKey,
    CreateService,
    CreateServiceToken,
    DeleteEnvironment,
    EditEnvironment,
    EditProject,
    RemoveMember,
    RemoveService,
    RevokeSdkKey,
    RevokeServiceToken,
    SetMember,
    submit,
)
from flags.dashboard.account import LIFETIMES, SCOPES, end_of_life
from flags.dashboard.problems import by_field
from flags.dashboard.shell import Shell, project_page, status_of, whole
from flags.dashboard.undo import told, told_what_came
from flags.errors import FlagsiteError, Invalid
from flags.models import ApiToken, Environment, Membership, Role, SdkKey
from flags.models.secrets import Secret, new_secret
from flags.queries.connections import keys_of
from flags.queries.environments import environment_rows
from flags.queries.members import members_of, services_of

ROLES = {
    Role.VIEWER: "sees everything, changes nothing",
    Role.EDITOR: "changes flags and segments",
    Role.REVIEWER: "changes flags and segments, and approves what others ask for",
    Role.ADMIN: "also manages environments, keys, members and this project",
}


@require_http_methods(["GET", "POST"])
@project_page("settings")
def project_settings(request: HttpRequest, shell: Shell) -> HttpResponse:
    """Name and description of the project."""
    error: FlagsiteError | None = None
    if request.method == "POST":
        change = EditProject(
            project=shell.project.key,
            name=request.POST.get("name", "").strip(),
            description=request.POST.get("description", "").strip(),
            expected_revision=whole(request.POST.get("revision")),
        )
        try:
            _require_name(change.name)
            return _done(request, shell, change, "The project is saved", "project-settings")
        except FlagsiteError as refusal:
            error = refusal
    context = {
        "shell": shell,
        "tab": "general",
        "typed": request.POST if error else None,
        "problems": by_field(error, {"name", "description"}),
    }
    return render(request, "dashboard/settings/project.html", context, status=_status(error))


@require_http_methods(["GET", "POST"])
@project_page("settings")
def environments(request: HttpRequest, shell: Shell) -> HttpResponse:
    """The environments in their order; an admin may add one."""
    error: FlagsiteError | None = None
    if request.method == "POST":
        key = request.POST.get("key", "").strip()
        change = CreateEnvironment(
            project=shell.project.key,
            key=key,
            name=request.POST.get("name", "").strip(),
            requires_approval=request.POST.get("requires_approval") == "on",
        )
        try:
            return _done(
                request, shell, change, f"{change.name or key} is made", "environment-settings", key
            )
        except FlagsiteError as refusal:
            error = refusal
    context = {
        "shell": shell,
        "tab": "environments",
        "rows": _movable(shell),
        "typed": request.POST if error else None,
        "problems": by_field(error, {"key", "name"}),
    }
    return render(request, "dashboard/settings/environments.html", context, status=_status(error))


@require_POST
@project_page("settings")
def move_environment(request: HttpRequest, shell: Shell, environment: str) -> HttpResponse:
    """Put an environment one place earlier or later in the order of the project."""
    moved = shell.environment(environment)
    order = [one for one in shell.environments if one != moved]
    step = -1 if request.POST.get("direction") == "earlier" else 1
    place = min(max(0, shell.environments.index(moved) + step), len(order))
    order.insert(place, moved)
    changes = [
        EditEnvironment(project=shell.project.key, environment=one.key, position=position)
        for position, one in enumerate(order)
        if one.position != position
    ]
    if changes:
        submit(*changes, actor=shell.actor)
    response = redirect("environments", project=shell.project.key)
    return told(request, response, f"{moved.name} is number {place + 1} now")


@require_http_methods(["GET", "POST"])
@project_page("settings")
def environment_settings(request: HttpRequest, shell: Shell, environment: str) -> HttpResponse:
    """One environment: its name, whether it requires approval, its keys, its end."""
    found = shell.environment(environment)
    error: FlagsiteError | None = None
    if request.method == "POST":
        change = EditEnvironment(
            project=shell.project.key,
            environment=environment,
            name=request.POST.get("name", "").strip(),
            requires_approval=request.POST.get("requires_approval") == "on",
            expected_revision=whole(request.POST.get("revision")),
        )
        try:
            _require_name(change.name)
            return _done(
                request,
                shell,
                change,
                f"{change.name} is saved",
                "environment-settings",
                environment,
                reason=request.POST.get("reason", ""),
            )
        except FlagsiteError as refusal:
            error = refusal
    return _environment_page(
        request, shell, found, problems=by_field(error, {"name", "reason"}), error=error
    )


@require_POST
@project_page("settings")
def delete_environment(request: HttpRequest, shell: Shell, environment: str) -> HttpResponse:
    """Remove an environment, once its key was typed to say that it is meant."""
    found = shell.environment(environment)
    error: FlagsiteError | None = None
    typed = request.POST.get("confirmation", "").strip()
    try:
        if typed != environment:
            raise Invalid.at("confirmation", f"expected {environment}, got {typed or 'nothing'}")
        change = DeleteEnvironment(project=shell.project.key, environment=environment)
        outcome = submit(change, actor=shell.actor, reason=request.POST.get("reason", ""))
    except FlagsiteError as refusal:
        error = refusal
    else:
        response = redirect("environments", project=shell.project.key)
        if outcome.request is not None:
            return told_what_came(request, response, shell, outcome, "")
        return told(request, response, f"{found.name} is deleted; its history stays")
    # Not `by_field`: this page has another form with a field of its own for what is general.
    problem = {"confirmation": "; ".join(by_field(error, {"confirmation"}).values())}
    return _environment_page(request, shell, found, problems=problem, error=error)


@require_POST
@never_cache
@project_page("settings")
def create_key(request: HttpRequest, shell: Shell, environment: str) -> HttpResponse:
    """Make an SDK key and show its secret, this once."""
    found = shell.environment(environment)
    kind = request.POST.get("kind", "")
    if kind not in SdkKey.PREFIXES:
        error = Invalid.at("kind", f"expected one of {', '.join(SdkKey.PREFIXES)}, got {kind!r}")
        return _environment_page(
            request, shell, found, problems=by_field(error, {"kind"}), error=error
        )
    secret = new_key(shell, found, kind, request.POST.get("key_name", "").strip())
    return _environment_page(request, shell, found, problems={}, secret=secret, kind=kind)


def new_key(shell: Shell, environment: Environment, kind: str, name: str) -> Secret:
    """Make an SDK key; what is given back holds the secret, which is stored nowhere."""
    secret = new_secret(SdkKey.PREFIXES[kind])
    change = CreateSdkKey.of(
        secret,
        project=shell.project.key,
        environment=environment.key,
        key_kind="server" if kind == "server" else "client",
        name=name[:200],
    )
    submit(change, actor=shell.actor)
    return secret


@require_GET
@project_page("settings")
def keys(request: HttpRequest, shell: Shell, environment: str) -> HttpResponse:
    """The list of an environment's keys alone, for a page that is open while they change."""
    found = shell.environment(environment)
    context = {
        "shell": shell,
        "environment": found,
        "refusal": shell.administer_refusal_in(found),
        "keys": keys_of(found),
    }
    return render(request, "dashboard/parts/_sdk_keys.html", context)


@require_POST
@project_page("settings")
def revoke_key(request: HttpRequest, shell: Shell, environment: str, key: str) -> HttpResponse:
    """Refuse a key from now on."""
    found = shell.environment(environment)
    submit(RevokeSdkKey(project=shell.project.key, public_id=key), actor=shell.actor)
    response = redirect("environment-settings", project=shell.project.key, environment=found.key)
    return told(request, response, f"{key} is revoked")


@require_http_methods(["GET", "POST"])
@project_page("settings")
def members(request: HttpRequest, shell: Shell) -> HttpResponse:
    """Who belongs to the project; an admin may add people, give roles and remove people."""
    error: FlagsiteError | None = None
    if request.method == "POST":
        username, role = request.POST.get("username", "").strip(), request.POST.get("role", "")
        change = SetMember(
            project=shell.project.key,
            username=username,
            role=role,  # type: ignore[arg-type]
            environments=_exceptions(request, shell),
        )
        try:
            _require_role(role)
            return _done(request, shell, change, _given(change, shell), "members")
        except FlagsiteError as refusal:
            error = refusal
    return _members_page(request, shell, error)


@require_POST
@project_page("settings")
def create_service(request: HttpRequest, shell: Shell) -> HttpResponse:
    """Make an account for a program."""
    name, role = request.POST.get("name", "").strip(), request.POST.get("service_role", "")
    change = CreateService(project=shell.project.key, name=name, role=role)  # type: ignore[arg-type]
    try:
        _require_role(role)
        return _done(request, shell, change, f"The service {name} is made", "members")
    except FlagsiteError as refusal:
        return _members_page(request, shell, refusal)


@require_POST
@project_page("settings")
def remove_service(request: HttpRequest, shell: Shell) -> HttpResponse:
    """Take a service out of the project; its tokens are refused at once."""
    name = request.POST.get("name", "")
    change = RemoveService(project=shell.project.key, name=name)
    return _done(request, shell, change, f"The service {name} is removed", "members")


@require_POST
@never_cache
@project_page("settings")
def create_service_token(request: HttpRequest, shell: Shell) -> HttpResponse:
    """Make a token of a service and show its secret, this once."""
    secret = new_secret(ApiToken.PREFIX)
    try:
        change = CreateServiceToken(
            project=shell.project.key,
            service=request.POST.get("service", ""),
            public_id=secret.public_id,
            hash=secret.hash,
            scopes=[one for one in ApiToken.SCOPES if one in request.POST.getlist("scopes")],  # type: ignore[misc]
            name=request.POST.get("token_name", "").strip(),
            expires_at=end_of_life(request.POST.get("lifetime", "")),
        )
        submit(change, actor=shell.actor)
    except FlagsiteError as refusal:
        return _members_page(request, shell, refusal)
    return _members_page(request, shell, None, secret=secret)


@require_POST
@project_page("settings")
def revoke_service_token(request: HttpRequest, shell: Shell, token: str) -> HttpResponse:
    """Refuse a service's token from now on."""
    submit(RevokeServiceToken(project=shell.project.key, public_id=token), actor=shell.actor)
    return told(request, redirect("members", project=shell.project.key), f"{token} is revoked")


@require_POST
@project_page("settings")
def remove_member(request: HttpRequest, shell: Shell) -> HttpResponse:
    """Take somebody out of the project."""
    username = request.POST.get("username", "")
    change = RemoveMember(project=shell.project.key, username=username)
    return _done(request, shell, change, f"{username} is no longer a member", "members")


def _members_page(
    request: HttpRequest,
    shell: Shell,
    error: FlagsiteError | None,
    *,
    secret: Secret | None = None,
) -> HttpResponse:
    context = {
        "shell": shell,
        "tab": "members",
        "members": [(row, _roles_by_environment(row, shell)) for row in members_of(shell.project)],
        "services": [
            (row, row.user.get_username().partition("@")[0], _roles_by_environment(row, shell))
            for row in services_of(shell.project)
        ],
        "roles": [(role.value, role.label, means) for role, means in ROLES.items()],
        "scopes": SCOPES,
        "lifetimes": LIFETIMES,
        "secret": secret,
        "now": timezone.now(),
        "typed": request.POST if error else None,
        "problems": by_field(error, {"username", "role", "name"}),
    }
    return render(request, "dashboard/settings/members.html", context, status=_status(error))


def _roles_by_environment(member: Membership, shell: Shell) -> list[tuple[Environment, str]]:
    """Each environment with the role that is another one there, empty where it is not."""
    exceptions = member.exceptions()
    return [
        (environment, exceptions[environment.key].value if environment.key in exceptions else "")
        for environment in shell.environments
    ]


def _exceptions(request: HttpRequest, shell: Shell) -> Any:
    """The exceptions that a form gives; those that there are stay where it has no such fields."""
    given = {row.key: request.POST.get(f"role-in-{row.key}") for row in shell.environments}
    if all(role is None for role in given.values()):
        return UNSET
    return {key: role for key, role in given.items() if role in Role.values}


def _given(change: SetMember, shell: Shell) -> str:
    """As `engineer is editor, viewer in Production`."""
    exceptions = {} if change.environments is UNSET else change.environments
    there = [
        f"{exceptions[row.key]} in {row.name}"
        for row in shell.environments
        if row.key in exceptions
    ]
    return f"{change.username} is {', '.join([change.role, *there])}"


def _require_role(role: str) -> None:
    if role not in Role.values:
        raise Invalid.at("role", f"expected one of {', '.join(Role.values)}, got {role!r}")


def _movable(shell: Shell) -> list[dict[str, Any]]:
    """Each environment, and whether this person may have it change places with its neighbours."""
    rows = list(environment_rows(shell.project))
    may = [shell.administer_refusal_in(row.environment) is None for row in rows]
    return [
        {
            "row": row,
            "refusal": shell.administer_refusal_in(row.environment),
            "earlier": index > 0 and may[index] and may[index - 1],
            "later": index + 1 < len(rows) and may[index] and may[index + 1],
        }
        for index, row in enumerate(rows)
    ]


def _environment_page(
    request: HttpRequest,
    shell: Shell,
    environment: Environment,
    *,
    problems: dict[str, str],
    error: FlagsiteError | None = None,
    secret: Secret | None = None,
    kind: str = "",
) -> HttpResponse:
    context: dict[str, Any] = {
        "shell": shell,
        "tab": "environments",
        "environment": environment,
        "refusal": shell.administer_refusal_in(environment),
        "keys": keys_of(environment),
        "typed": request.POST if error else None,
        # The page has several forms; only the one that was sent holds these.
        "name": request.POST.get("name", environment.name) if error else environment.name,
        "problems": problems,
        "secret": secret,
        "secret_kind": kind,
    }
    return render(request, "dashboard/settings/environment.html", context, status=_status(error))


def _done(
    request: HttpRequest,
    shell: Shell,
    change: Change,
    text: str,
    page: str,
    *named: str,
    reason: str = "",
) -> HttpResponse:
    """Submit the change and lead back to a page, which says so and offers to take it back."""
    outcome = submit(change, actor=shell.actor, reason=reason)
    response = redirect(reverse(page, args=[shell.project.key, *named]))
    if not outcome.changed:
        return told(request, response, "Nothing was different, so nothing changed")
    return told_what_came(request, response, shell, outcome, text)


def _require_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise Invalid.at("name", "expected a name, got nothing")
    if len(name) > 200:
        raise Invalid.at("name", f"expected at most 200 characters, got {len(name)}")


def _status(error: FlagsiteError | None) -> int:
    return status_of(error) if error else 200
