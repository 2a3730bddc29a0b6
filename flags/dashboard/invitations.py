"""Who is invited into a project, and inviting somebody."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from flags.changes import CreateInvitation, RevokeInvitation, submit
from flags.dashboard.problems import by_field
from flags.dashboard.settings import ROLES
from flags.dashboard.shell import Shell, project_page, status_of
from flags.dashboard.undo import told
from flags.errors import FlagsiteError, Invalid
from flags.models import Invitation, Role
from flags.queries.invitations import open_invitations


@never_cache
@require_http_methods(["GET", "POST"])
@project_page("settings")
def invitations(request: HttpRequest, shell: Shell) -> HttpResponse:
    """The open invitations; an admin may send another one."""
    error: FlagsiteError | None = None
    link = ""
    if request.method == "POST":
        try:
            made = _invite(request, shell)
        except FlagsiteError as refusal:
            error = refusal
        else:
            if made.is_mailed:
                text = f"An invitation is on its way to {made.email}"
                return told(request, redirect("invitations", project=shell.project.key), text)
            link = request.build_absolute_uri(reverse("invitation", args=[made.token]))
    context = {
        "shell": shell,
        "tab": "members",
        "invitations": list(open_invitations(shell.project, timezone.now())),
        "roles": [(role.value, role.label, means) for role, means in ROLES.items()],
        "typed": request.POST if error else None,
        "problems": by_field(error, {"email", "role"}),
        "link": link,
        "mail_is_sent": settings.MAIL_IS_SENT,
    }
    status = status_of(error) if error else 200
    return render(request, "dashboard/settings/invitations.html", context, status=status)


@require_POST
@project_page("settings")
def revoke_invitation(request: HttpRequest, shell: Shell, invitation: str) -> HttpResponse:
    """Let nobody in by it any more."""
    change = RevokeInvitation(project=shell.project.key, invitation=str(invitation))
    submit(change, actor=shell.actor)
    response = redirect("invitations", project=shell.project.key)
    return told(request, response, "The invitation is taken back")


def _invite(request: HttpRequest, shell: Shell) -> Invitation:
    email, role = request.POST.get("email", "").strip(), request.POST.get("role", "")
    if role not in Role.values:
        raise Invalid.at("role", f"expected one of {', '.join(Role.values)}, got {role!r}")
    change = CreateInvitation(
        project=shell.project.key,
        email=email,
        role=role,  # type: ignore[arg-type]
        mailed=settings.MAIL_IS_SENT,
    )
    outcome = submit(change, actor=shell.actor)
    return Invitation.objects.get(pk=outcome.effects[0].subject.partition(":")[2])
