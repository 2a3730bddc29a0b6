"""What a table in the admin is: read only, or a door whose saves are submits."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import DataError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from simple_history.admin import SimpleHistoryAdmin

from audit.facts import Actor
from flags import access
from flags.access import Action
from flags.changes import Change, Outcome, submit
from flags.errors import ApprovalNeeded, FlagsiteError, Invalid
from flags.models import User
from flags.sessions import actor_in


class ReadOnly(admin.ModelAdmin):
    """A table that site administrators may look at and search."""

    actions: Sequence[Any] = ()
    show_full_result_count = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_actions(self, request: HttpRequest) -> Any:
        # Django's own deletes rows; no change says that it does.
        return {
            name: action
            for name, action in super().get_actions(request).items()
            if name != "delete_selected"
        }


class ChangeForm(forms.ModelForm):
    """A form whose values become changes. `door` and `actor` are set by the door it belongs to."""

    door: "Door"
    actor: Actor

    seen = forms.IntegerField(required=False, widget=forms.HiddenInput)
    reason = forms.CharField(
        required=False,
        max_length=2000,
        help_text="Why; it goes into the event.",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.door.seen is not None and not self.instance._state.adding:
            self.initial["seen"] = getattr(self.instance, self.door.seen)

    def clean(self) -> dict[str, Any] | None:
        given = super().clean()
        if not self.errors:
            try:
                with transaction.atomic():
                    submit(
                        *self.changes(), actor=self.actor, reason=self.reason_given, dry_run=True
                    )
            except ApprovalNeeded:
                # It will wait as a request, which `save_model` tells.
                if not all(change.can_wait for change in self.changes()):
                    raise
            except Invalid as refusal:
                for problem in refusal.problems:
                    field = problem.path.partition(".")[0].partition("[")[0]
                    self.add_error(field if field in self.fields else None, str(problem))
            except FlagsiteError as refusal:
                self.add_error(None, str(refusal))
            except DataError:
                self.add_error(
                    None, "It holds something that cannot be stored, such as NUL or NaN."
                )
        return given

    def changes(self) -> list[Change]:
        return self.door.changes(
            self.cleaned_data, None if self.instance._state.adding else self.instance
        )

    @property
    def reason_given(self) -> str:
        return str(self.cleaned_data.get("reason", ""))


class Door(ReadOnly):
    """A table whose rows are changed, each save being a submit."""

    form = ChangeForm
    # Names which row it is, so it is set when the row is made and stays.
    identity: Sequence[str] = ()
    # The number that grows with each edit, by which a save over somebody else's is noticed.
    seen: str | None = "revision"
    edited: Sequence[str] = ()
    shown: Sequence[str] = ()
    can_add = True

    def changes(self, given: dict[str, Any], row: Any) -> list[Change]:
        """What saving these values means; `row` is None when it is to be made."""
        raise NotImplementedError

    def removal(self, row: Any) -> list[Change] | None:
        """What deleting the row means, None when nothing does."""
        return None

    # Permissions

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.can_add and may(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_removable = type(self).removal is not Door.removal
        return is_removable and obj is not None and may(request)

    # The form

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        if obj is None:
            return [*self.identity, *self.edited, "reason"]
        return [*self.identity, *self.edited, *self.shown, "reason", "seen"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        return () if obj is None else [*self.identity, *self.shown]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **options)
        return type(form.__name__, (form,), {"door": self, "actor": actor_of(request)})

    # What is saved

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        outcome = submit(*form.changes(), actor=actor_of(request), reason=form.reason_given)
        if waits(request, obj, outcome):
            return
        if not change:
            # The row that the change made takes the place of the one that the form dreamt up.
            obj.pk = self.made(form.cleaned_data).pk

    def made(self, given: dict[str, Any]) -> Any:
        """The row that was made of these values."""
        return self.model._default_manager.get(**{name: given[name] for name in self.identity})

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Everything was submitted by `save_model`."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        outcome = submit(*(self.removal(obj) or ()), actor=actor_of(request))
        waits(request, obj, outcome)

    # What is told of a save that became a request, instead of that it was done

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None if is_waiting(request) else super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None if is_waiting(request) else super().log_change(request, obj, message)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        if is_waiting(request):
            return self.response_post_save_add(request, obj)
        return super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        if is_waiting(request):
            return self.response_post_save_change(request, obj)
        return super().response_change(request, obj)

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: Any) -> Any:
        if is_waiting(request):
            return self.response_post_save_change(request, None)
        return super().response_delete(request, obj_display, obj_id)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        # What goes with the row is the change's to say, and its event lists it.
        return [str(obj) for obj in objs], {}, set(), []

    def changeform_view(self, request: HttpRequest, *args: Any, **options: Any) -> Any:
        with told(request) as refused:
            return super().changeform_view(request, *args, **options)
        return refused.answer

    def delete_view(self, request: HttpRequest, *args: Any, **options: Any) -> Any:
        with told(request) as refused:
            return super().delete_view(request, *args, **options)
        return refused.answer

    def act(self, request: HttpRequest, changes: Sequence[tuple[Any, Change]]) -> None:
        """An action on several rows: each is submitted by itself, a refusal is told."""
        for row, change in changes:
            try:
                outcome = submit(change, actor=actor_of(request))
            except FlagsiteError as refusal:
                messages.error(request, f"{row}: {refusal}")
            else:
                if not waits(request, row, outcome):
                    messages.success(request, f"{row}: done")


class DoorWithHistory(Door, SimpleHistoryAdmin):
    """The same for tables whose rows' copies are kept. They are shown; restoring is the dashboard's."""

    def history_form_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        if request.method != "GET":
            raise PermissionDenied("a row is restored from the history of its flag or segment")
        answer: HttpResponse = super().history_form_view(request, *args, **options)
        return answer

    def revert_disabled(self, request: HttpRequest, obj: Any = None) -> bool:
        return True


class told:  # noqa: N801
    """Turns a refusal inside the block into a message and the way back to the same page."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.answer: HttpResponse | None = None

    def __enter__(self) -> "told":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if not isinstance(error, FlagsiteError):
            return False
        messages.error(self.request, str(error))
        self.answer = HttpResponseRedirect(self.request.get_full_path())
        return True


def may(request: HttpRequest) -> bool:
    """Whether the person may administer the site; found out once a request, as Django asks often."""
    if "flagsite.may_administer" not in request.META:
        user = request.user
        request.META["flagsite.may_administer"] = isinstance(user, User) and access.may(
            user.as_actor(), Action.ADMINISTER, None
        )
    return bool(request.META["flagsite.may_administer"])


def actor_of(request: HttpRequest) -> Actor:
    assert isinstance(request.user, User), "the admin site lets nobody else in"
    return actor_in(request)


def waits(request: HttpRequest, row: Any, outcome: Outcome) -> bool:
    """Whether the save became a request; says so, and keeps for the answer that it did."""
    if outcome.request is None:
        return False
    request.META["flagsite.request"] = outcome.request
    messages.warning(request, f"{row}: waits for approval as request #{outcome.request}")
    return True


def is_waiting(request: HttpRequest) -> bool:
    return "flagsite.request" in request.META


def taken(given: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: given[name] for name in names}
