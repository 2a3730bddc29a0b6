"""What each kind of notice says and where it leads, as the inbox and the mails have it."""

from django.urls import reverse

from flags.models import Notice, User

# {by} is who did it, {what} is the request, {about} is whom it is about.
WORDS = {
    "review_asked": "{by} asks for your verdict on {what}",
    "review_again": "{what} does something else than when you gave your verdict",
    "approved": "{by} approved {what}",
    "changes_requested": "{by} asks for changes to {what}",
    "rejected": "{by} rejected {what}",
    "ready": "{what} has every approval it needs",
    "commented": "{by} commented on {what}",
    "answered": "{by} answered your comment on {what}",
    "mentioned": "{by} mentioned you on {what}",
    "applied": "{by} applied {what}",
    "failed": "{what} could not be applied",
    "conflicted": "Somebody changed the same as {what} meanwhile",
    "drifted": "{what} is not approved any more, since something moved",
    "expires_soon": "{what} expires within a day",
    "expired": "{what} expired",
    "ramp_held": "A ramp was stopped, and needs a decision",
    "step_asked": "A ramp waits for your approval of its next step",
    "lease_ends_soon": "A lease ends within an hour",
    "lease_held": "A lease is past its end, and needs a decision",
    "bypassed": "{by} applied {what} WITHOUT APPROVAL",
    "bypass_signed": "{by} signed for the bypass of {what}",
    "approver_added": "{by} made {about} one of those whose approval counts",
    "token_ends": "An API token of yours ends soon",
    "service_token_ends": "An API token of a service ends soon",
    "factor_added": "A second factor was added to your account",
    "factor_removed": "A second factor of your account was removed",
    "factors_reset": "The second factors of your account were taken away",
    "codes_made": "New recovery codes of your account were made",
    "password_changed": "The password of your account was changed",
    "identity_connected": "An identity was connected to your account",
    "identity_disconnected": "An identity was disconnected from your account",
    "token_made": "An API token was made in your name",
    "new_place": "Your account was signed in to from a new place",
}
# About one's own account. Mailed whatever one chose: whoever came in uninvited could choose it too.
OF_ACCOUNTS = {
    *("factor_added", "factor_removed", "factors_reset", "codes_made", "password_changed"),
    *("identity_connected", "identity_disconnected", "token_made", "new_place"),
}
# Where nobody did it: something moved, or it came from the operator's own shell.
BY_NOBODY = {"review_asked": "{what} waits for your verdict"}
# About what is shown on the page of releases.
OF_RELEASES = {"ramp_held", "step_asked", "lease_ends_soon", "lease_held"}
# Drawn apart from the others, in the inbox as in mails.
LOUD = {"bypassed", "approver_added"}
# What the clock never does: without a name it was the operator's own shell.
OF_THE_OPERATOR = {"bypassed", "approver_added"}


def is_mailed(kind: str, person: User) -> bool:
    """Whether the person gets notices of this kind by mail, where any is sent."""
    return bool(person.email) and (person.notices_by_mail or kind in OF_ACCOUNTS)


def words_of(notice: Notice) -> str:
    """One line, as `editor asks for your verdict on #7 Spring sale`."""
    if notice.kind in OF_ACCOUNTS:
        return WORDS[notice.kind] + (f" by {notice.by}" if notice.by else "")
    what = f"#{notice.request.number} {notice.request.title}" if notice.request else ""
    about = notice.about.get_username() if notice.about else "somebody"
    nobody = "The operator" if notice.kind in OF_THE_OPERATOR else "The clock"
    words = WORDS[notice.kind] if notice.by else BY_NOBODY.get(notice.kind, WORDS[notice.kind])
    return words.format(by=notice.by or nobody, what=what, about=about)


def address_of(notice: Notice) -> str:
    """The path of the page on which something can be done about it."""
    if notice.request is not None and notice.project is not None:
        return reverse("request", args=[notice.project.key, notice.request.number])
    if notice.project is not None and notice.kind in OF_RELEASES:
        return reverse("releases", args=[notice.project.key])
    if notice.kind in ("token_ends", "token_made"):
        return reverse("api-tokens")
    if notice.kind in OF_ACCOUNTS:
        return reverse("signing-in")
    if notice.project is not None:
        return reverse("members", args=[notice.project.key])
    return reverse("inbox")
