"""`/tokens`: API tokens, one's own; a site administrator sees everybody's."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from audit.facts import Actor
from flags import access
from flags.access import Action
from flags.changes import CreateApiToken, RevokeApiToken
from flags.errors import NotFound
from flags.management_api.base import ManagementView, creates, reads, removes
from flags.management_api.fields import Body, Choice, Query, Text
from flags.management_api.pages import Pages
from flags.models import ApiToken
from flags.models.secrets import new_secret
from flags.sessions import actor_at_place


class ApiTokenShown(serializers.ModelSerializer[ApiToken]):
    username = serializers.CharField(source="user.username")
    scopes = serializers.ListField(child=Choice(ApiToken.SCOPES))
    expires_in_days = serializers.SerializerMethodField(
        help_text="Whole days that are left, once its end is near; else null."
    )

    class Meta:
        model = ApiToken
        fields = [
            "public_id",
            "username",
            "name",
            "scopes",
            "created_at",
            "expires_at",
            "expires_in_days",
            "revoked_at",
            "last_used_at",
        ]

    def get_expires_in_days(self, token: ApiToken) -> int | None:
        return token.days_left(timezone.now())


class ApiTokenMade(ApiTokenShown):
    """`secret` is shown this once; the answer to a repeated Idempotency-Key has null in its place."""

    secret = serializers.CharField(allow_null=True)

    class Meta(ApiTokenShown.Meta):
        fields = [*ApiTokenShown.Meta.fields, "secret"]


class NewApiToken(Body):
    username = Text(required=False, help_text="Whom it acts for; oneself unless given.")
    name = Text(required=False, max_length=200)
    scopes = serializers.ListField(child=Choice(ApiToken.SCOPES), allow_empty=False)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)


class ApiTokens(ManagementView):
    pagination_class = Pages.by("created_at", "public_id")

    @property
    def actor(self) -> Actor:
        """From where, too: whose token is made is told."""
        return super().actor if self.request.auth else actor_at_place(self.request)

    @reads(ApiTokenShown, summary="One's own tokens", many=True, operation_id="api_tokens")
    def get(self, request: Request) -> Response:
        Query.of(request.query_params)
        return self.page(visible_tokens(self), ApiTokenShown)

    @creates(NewApiToken, ApiTokenMade, summary="Make a token; its secret is in this answer alone")
    def post(self, request: Request) -> Response:
        given = self.body(NewApiToken)
        reason = given.pop("reason", "")
        username = given.pop("username", self.actor.name)
        secret = new_secret(ApiToken.PREFIX)
        change = CreateApiToken(
            username=username, public_id=secret.public_id, hash=secret.hash, **given
        )

        def answer() -> tuple[str, Any, None]:
            token = ApiToken.objects.select_related("user").get(public_id=secret.public_id)
            address = reverse("api-token", args=[token.public_id])
            return address, {**ApiTokenShown(token).data, "secret": secret.text}, None

        return self.created([change], answer, reason=reason)


class OneApiToken(ManagementView):
    @reads(ApiTokenShown, summary="A token")
    def get(self, request: Request, public_id: str) -> Response:
        return self.shown(ApiTokenShown(self._token(public_id)).data)

    @removes(summary="Revoke a token")
    def delete(self, request: Request, public_id: str) -> Response:
        return self.removed(RevokeApiToken(public_id=self._token(public_id).public_id))

    def _token(self, public_id: str) -> ApiToken:
        token = visible_tokens(self).filter(public_id=public_id).first()
        if token is None:
            raise NotFound(f"there is no API token {public_id}")
        return token


def visible_tokens(view: ManagementView) -> "QuerySet[ApiToken]":
    access.require(view.actor, Action.VIEW, None)
    tokens = ApiToken.objects.select_related("user")
    if access.may(view.actor, Action.ADMINISTER, None):
        return tokens
    return tokens.filter(user_id=view.actor.id)
