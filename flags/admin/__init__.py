"""The Django admin: one more door. What it saves goes through `submit`; the rest can only be read.

A form asks `submit` in a dry run while it is validated, so that a refusal stands beside the field it
is about; `save_model` then submits. Nothing here saves or deletes a row.
"""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.contrib.auth.models import Group

from flags.admin import (
    flags,
    invitations,
    keys,
    log,
    notices,
    people,
    projects,
    releases,
    requests,
    segments,
    sign_in,
)

__all__ = [
    "flags",
    "invitations",
    "keys",
    "log",
    "notices",
    "people",
    "projects",
    "releases",
    "requests",
    "segments",
    "sign_in",
]

# Groups and their permissions mean nothing here: flags/access.py answers every question.
admin.site.unregister(Group)
# People come in by the one sign-in there is.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.site_header = admin.site.site_title = "Flagsite"
