"""`/projects/{project}/environments/{environment}/sdk-keys`"""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from flags.changes import CreateSdkKey, RevokeSdkKey
from flags.errors import NotFound
from flags.management_api.base import ManagementView, creates, reads, removes
from flags.management_api.fields import Body, Choice, Query, Text
from flags.management_api.pages import Pages
from flags.models import SdkKey
from flags.models.secrets import new_secret


class SdkKeyShown(serializers.ModelSerializer[SdkKey]):
    kind = Choice(tuple(SdkKey.PREFIXES))

    class Meta:
        model = SdkKey
        fields = ["public_id", "kind", "name", "created_at", "revoked_at"]


class SdkKeyMade(SdkKeyShown):
    """`secret` is shown this once; the answer to a repeated Idempotency-Key has null in its place."""

    secret = serializers.CharField(allow_null=True)

    class Meta(SdkKeyShown.Meta):
        fields = [*SdkKeyShown.Meta.fields, "secret"]


class NewSdkKey(Body):
    kind = Choice(tuple(SdkKey.PREFIXES))
    name = Text(required=False, max_length=200)


class SdkKeys(ManagementView):
    pagination_class = Pages.by("created_at", "public_id")

    @reads(
        SdkKeyShown,
        summary="The keys of an environment, revoked ones too",
        many=True,
        operation_id="sdk_keys",
    )
    def get(self, request: Request, project: str, environment: str) -> Response:
        Query.of(request.query_params)
        return self.page(self.environment(project, environment).sdk_keys.all(), SdkKeyShown)

    @creates(NewSdkKey, SdkKeyMade, summary="Make a key; its secret is in this answer alone")
    def post(self, request: Request, project: str, environment: str) -> Response:
        self.environment(project, environment)
        given = self.body(NewSdkKey)
        secret = new_secret(SdkKey.PREFIXES[given["kind"]])
        change = CreateSdkKey.of(
            secret,
            project=project,
            environment=environment,
            key_kind=given["kind"],
            name=given.get("name", ""),
        )

        def answer() -> tuple[str, Any, None]:
            key = SdkKey.objects.get(public_id=secret.public_id)
            address = reverse("api-sdk-key", args=[project, environment, key.public_id])
            return address, {**SdkKeyShown(key).data, "secret": secret.text}, None

        return self.created([change], answer, reason=given.get("reason", ""))


class OneSdkKey(ManagementView):
    @reads(SdkKeyShown, summary="A key")
    def get(self, request: Request, project: str, environment: str, public_id: str) -> Response:
        return self.shown(SdkKeyShown(self._key(project, environment, public_id)).data)

    @removes(summary="Revoke a key; open connections end with it")
    def delete(self, request: Request, project: str, environment: str, public_id: str) -> Response:
        key = self._key(project, environment, public_id)
        return self.removed(RevokeSdkKey(project=project, public_id=key.public_id))

    def _key(self, project: str, environment: str, public_id: str) -> SdkKey:
        key = self.environment(project, environment).sdk_keys.filter(public_id=public_id).first()
        if key is None:
            raise NotFound(f"there is no SDK key {public_id} in {project}/{environment}")
        return key
