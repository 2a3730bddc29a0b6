"""What each kind of notice says, as the inbox and the mails have it."""

from flags.models import Notice

# {by} is who did it, {what} is the request.
WORDS = {
    "review_asked": "{by} asks for your verdict on {what}",
    "review_again": "{what} does something else than when you gave your verdict",
    "approved": "{by} approved {what}",
    "changes_requested": "{by} asks for changes to {what}",
    "rejected": "{by} rejected {what}",
    "ready": "{what} has every approval it needs",
    "commented": "{by} commented on {what}",
    "mentioned": "{by} mentioned you on {what}",
    "applied": "{by} applied {what}",
    "failed": "{what} could not be applied",
    "conflicted": "Somebody changed the same as {what} meanwhile",
    "drifted": "{what} is not approved any more, since something moved",
    "expires_soon": "{what} expires within a day",
    "expired": "{what} expired",
    "ramp_held": "A ramp was stopped, and needs a decision",
    "step_asked": "A ramp waits for your approval of its next step",
    "lease_held": "A lease is past its end, and needs a decision",
    "bypassed": "{by} applied {what} WITHOUT APPROVAL",
}
# About what is shown on the page of releases.
OF_RELEASES = {"ramp_held", "step_asked", "lease_held"}
# Drawn apart from the others, in the inbox as in mails.
LOUD = {"bypassed"}


def words_of(notice: Notice) -> str:
    """One line, as `editor asks for your verdict on #7 Spring sale`."""
    what = f"#{notice.request.number} {notice.request.title}" if notice.request else ""
    return WORDS[notice.kind].format(by=notice.by or "The clock", what=what)
