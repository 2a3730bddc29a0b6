"""Addresses of the management API, below /api/v1/."""

from django.urls import path, re_path

from flags.management_api.api_tokens import ApiTokens, OneApiToken
from flags.management_api.compare import (
    ComparedEnvironments,
    ComparedEvents,
    ComparedInstants,
    EnvironmentCopied,
)
from flags.management_api.configurations import (
    ConfigurationRestored,
    ConfigurationSwitch,
    EnvironmentConfigurations,
    FlagConfigurations,
    OneConfiguration,
)
from flags.management_api.environments import Environments, OneEnvironment
from flags.management_api.events import (
    FlagHistory,
    ProjectEvents,
    ProjectEventsCsv,
    ProjectEventsJsonLines,
    SegmentHistory,
    SignedHeads,
    SiteEvents,
    SiteEventsCsv,
    SiteEventsJsonLines,
)
from flags.management_api.flags import FlagArchive, FlagRestore, Flags, OneFlag
from flags.management_api.invitations import Invitations, OneInvitation
from flags.management_api.members import Members, OneMember
from flags.management_api.policies import OnePolicy
from flags.management_api.projects import OneProject, Projects
from flags.management_api.releases import (
    Calendar,
    LeaseEnded,
    LeaseExtended,
    LeaseKept,
    Leases,
    OneLease,
    OneRamp,
    OneRampTemplate,
    RampApproved,
    RampPaused,
    RampResumed,
    RampRolledBack,
    Ramps,
    RampSkipped,
    RampStopped,
    RampTemplates,
)
from flags.management_api.requests import (
    OneRequest,
    OwnDraft,
    RequestApplied,
    RequestBypassReviewed,
    RequestComments,
    RequestRebased,
    RequestReviewed,
    Requests,
    RequestSubmitted,
    RequestVerdictUndone,
    RequestWithdrawn,
)
from flags.management_api.schema import NoSuchAddress, Schema
from flags.management_api.sdk_keys import OneSdkKey, SdkKeys
from flags.management_api.segments import (
    DefinitionIds,
    DefinitionRestored,
    OneDefinition,
    OneSegment,
    Segments,
)
from flags.management_api.service_accounts import (
    OneService,
    OneServiceToken,
    Services,
    ServiceTokens,
)
from flags.management_api.teams import OneTeam, Teams

PROJECT = "projects/<str:project>"
ENVIRONMENT = f"{PROJECT}/environments/<str:environment>"
FLAG = f"{PROJECT}/flags/<str:flag>"
CONFIGURATION = f"{FLAG}/environments/<str:environment>"
SEGMENT = f"{PROJECT}/segments/<str:segment>"
RAMP = f"{PROJECT}/ramps/<int:number>"
LEASE = f"{PROJECT}/leases/<int:number>"
REQUEST = f"{PROJECT}/requests/<int:number>"
DEFINITION = f"{SEGMENT}/environments/<str:environment>"

urlpatterns = [
    path("schema/", Schema.as_view(), name="api-schema"),
    path("events", SiteEvents.as_view(), name="api-events"),
    path("events.csv", SiteEventsCsv.as_view(), name="api-events-csv"),
    path("events.jsonl", SiteEventsJsonLines.as_view(), name="api-events-jsonl"),
    path("heads.jsonl", SignedHeads.as_view(), name="api-signed-heads"),
    path("tokens", ApiTokens.as_view(), name="api-tokens"),
    path("tokens/<str:public_id>", OneApiToken.as_view(), name="api-token"),
    path("projects", Projects.as_view(), name="api-projects"),
    path(PROJECT, OneProject.as_view(), name="api-project"),
    path(f"{PROJECT}/events", ProjectEvents.as_view(), name="api-project-events"),
    path(f"{PROJECT}/events.csv", ProjectEventsCsv.as_view(), name="api-project-events-csv"),
    path(
        f"{PROJECT}/events.jsonl",
        ProjectEventsJsonLines.as_view(),
        name="api-project-events-jsonl",
    ),
    path(
        f"{PROJECT}/compare/environments",
        ComparedEnvironments.as_view(),
        name="api-compared-environments",
    ),
    path(f"{PROJECT}/compare/instants", ComparedInstants.as_view(), name="api-compared-instants"),
    path(f"{PROJECT}/compare/events", ComparedEvents.as_view(), name="api-compared-events"),
    path(f"{ENVIRONMENT}/copy", EnvironmentCopied.as_view(), name="api-environment-copied"),
    path(f"{PROJECT}/members", Members.as_view(), name="api-members"),
    path(f"{PROJECT}/members/<str:username>", OneMember.as_view(), name="api-member"),
    path(f"{PROJECT}/invitations", Invitations.as_view(), name="api-invitations"),
    path(
        f"{PROJECT}/invitations/<uuid:invitation>",
        OneInvitation.as_view(),
        name="api-invitation",
    ),
    path(f"{PROJECT}/services", Services.as_view(), name="api-services"),
    path(f"{PROJECT}/services/<str:service_name>", OneService.as_view(), name="api-service"),
    path(
        f"{PROJECT}/services/<str:service_name>/tokens",
        ServiceTokens.as_view(),
        name="api-service-tokens",
    ),
    path(
        f"{PROJECT}/services/<str:service_name>/tokens/<str:public_id>",
        OneServiceToken.as_view(),
        name="api-service-token",
    ),
    path(f"{PROJECT}/teams", Teams.as_view(), name="api-teams"),
    path(f"{PROJECT}/teams/<str:team>", OneTeam.as_view(), name="api-team"),
    path(f"{PROJECT}/requests", Requests.as_view(), name="api-requests"),
    path(REQUEST, OneRequest.as_view(), name="api-request"),
    path(f"{REQUEST}/submit", RequestSubmitted.as_view(), name="api-request-submit"),
    path(f"{REQUEST}/rebase", RequestRebased.as_view(), name="api-request-rebase"),
    path(f"{REQUEST}/review", RequestReviewed.as_view(), name="api-request-review"),
    path(f"{REQUEST}/undo-verdict", RequestVerdictUndone.as_view(), name="api-request-undo"),
    path(f"{REQUEST}/withdraw", RequestWithdrawn.as_view(), name="api-request-withdraw"),
    path(f"{REQUEST}/apply", RequestApplied.as_view(), name="api-request-apply"),
    path(f"{REQUEST}/comments", RequestComments.as_view(), name="api-request-comments"),
    path(
        f"{REQUEST}/review-bypass",
        RequestBypassReviewed.as_view(),
        name="api-request-bypass-review",
    ),
    path(f"{PROJECT}/ramps", Ramps.as_view(), name="api-ramps"),
    path(RAMP, OneRamp.as_view(), name="api-ramp"),
    path(f"{RAMP}/approve", RampApproved.as_view(), name="api-ramp-approve"),
    path(f"{RAMP}/pause", RampPaused.as_view(), name="api-ramp-pause"),
    path(f"{RAMP}/resume", RampResumed.as_view(), name="api-ramp-resume"),
    path(f"{RAMP}/skip", RampSkipped.as_view(), name="api-ramp-skip"),
    path(f"{RAMP}/roll-back", RampRolledBack.as_view(), name="api-ramp-roll-back"),
    path(f"{RAMP}/stop", RampStopped.as_view(), name="api-ramp-stop"),
    path(f"{PROJECT}/ramp-templates", RampTemplates.as_view(), name="api-ramp-templates"),
    path(
        f"{PROJECT}/ramp-templates/<str:template>",
        OneRampTemplate.as_view(),
        name="api-ramp-template",
    ),
    path(f"{PROJECT}/leases", Leases.as_view(), name="api-leases"),
    path(LEASE, OneLease.as_view(), name="api-lease"),
    path(f"{LEASE}/end", LeaseEnded.as_view(), name="api-lease-end"),
    path(f"{LEASE}/extend", LeaseExtended.as_view(), name="api-lease-extend"),
    path(f"{LEASE}/keep", LeaseKept.as_view(), name="api-lease-keep"),
    path(f"{PROJECT}/calendar", Calendar.as_view(), name="api-calendar"),
    path(f"{PROJECT}/environments", Environments.as_view(), name="api-environments"),
    path(ENVIRONMENT, OneEnvironment.as_view(), name="api-environment"),
    path(f"{ENVIRONMENT}/policy", OnePolicy.as_view(), name="api-policy"),
    path(f"{ENVIRONMENT}/draft", OwnDraft.as_view(), name="api-draft"),
    path(f"{ENVIRONMENT}/flags", EnvironmentConfigurations.as_view(), name="api-environment-flags"),
    path(f"{ENVIRONMENT}/sdk-keys", SdkKeys.as_view(), name="api-sdk-keys"),
    path(f"{ENVIRONMENT}/sdk-keys/<str:public_id>", OneSdkKey.as_view(), name="api-sdk-key"),
    path(f"{PROJECT}/flags", Flags.as_view(), name="api-flags"),
    path(FLAG, OneFlag.as_view(), name="api-flag"),
    path(f"{FLAG}/archive", FlagArchive.as_view(), name="api-flag-archive"),
    path(f"{FLAG}/restore", FlagRestore.as_view(), name="api-flag-restore"),
    path(f"{FLAG}/history", FlagHistory.as_view(), name="api-flag-history"),
    path(f"{FLAG}/environments", FlagConfigurations.as_view(), name="api-configurations"),
    path(CONFIGURATION, OneConfiguration.as_view(), name="api-configuration"),
    path(f"{CONFIGURATION}/switch", ConfigurationSwitch.as_view(), name="api-switch"),
    path(
        f"{CONFIGURATION}/restore",
        ConfigurationRestored.as_view(),
        name="api-configuration-restore",
    ),
    path(f"{PROJECT}/segments", Segments.as_view(), name="api-segments"),
    path(SEGMENT, OneSegment.as_view(), name="api-segment"),
    path(f"{SEGMENT}/history", SegmentHistory.as_view(), name="api-segment-history"),
    path(DEFINITION, OneDefinition.as_view(), name="api-definition"),
    path(f"{DEFINITION}/ids", DefinitionIds.as_view(), name="api-definition-ids"),
    path(f"{DEFINITION}/restore", DefinitionRestored.as_view(), name="api-definition-restore"),
    re_path("", NoSuchAddress.as_view()),
]
