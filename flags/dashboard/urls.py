"""Addresses of the dashboard's pages and their parts."""

from django.urls import path

from flags.dashboard import (
    account,
    connect,
    flag,
    flags,
    history,
    projects,
    segments,
    settings,
    sign_in,
    undo,
)

urlpatterns = [
    path("", projects.home, name="home"),
    path("sign-in", sign_in.sign_in, name="sign-in"),
    path("sign-out", sign_in.sign_out, name="sign-out"),
    path("projects", projects.projects, name="projects"),
    path("p/<str:project>/undo", undo.take_back, name="undo"),
    path("p/<str:project>/flags", flags.flags, name="flags"),
    path("p/<str:project>/new-flag", flags.create, name="create-flag"),
    path("p/<str:project>/flags/<str:flag>/row", flags.row, name="flag-row"),
    path(
        "p/<str:project>/flags/<str:flag>/switch/<str:environment>",
        flags.switch,
        name="switch-flag",
    ),
    path("p/<str:project>/flags/<str:flag>", flag.targeting, name="flag"),
    path("p/<str:project>/flags/<str:flag>/header", flag.header, name="flag-header"),
    path(
        "p/<str:project>/flags/<str:flag>/targeting/<str:environment>/preview",
        flag.preview,
        name="preview-targeting",
    ),
    path(
        "p/<str:project>/flags/<str:flag>/targeting/<str:environment>",
        flag.save,
        name="save-targeting",
    ),
    path("p/<str:project>/flags/<str:flag>/variations", flag.variations, name="flag-variations"),
    path("p/<str:project>/flags/<str:flag>/settings", flag.settings, name="flag-settings"),
    path("p/<str:project>/flags/<str:flag>/end/<str:how>", flag.end, name="end-flag"),
    path("p/<str:project>/activity", history.activity, name="activity"),
    path("p/<str:project>/activity/<uuid:event>", history.event, name="event"),
    path("p/<str:project>/activity/<uuid:event>/json", history.event_json, name="event-json"),
    path("p/<str:project>/flags/<str:flag>/history", history.flag_history, name="flag-history"),
    path(
        "p/<str:project>/flags/<str:flag>/history/<uuid:event>/restore",
        history.restore_flag,
        name="flag-restore",
    ),
    path(
        "p/<str:project>/segments/<str:segment>/history",
        history.segment_history,
        name="segment-history",
    ),
    path(
        "p/<str:project>/segments/<str:segment>/history/<uuid:event>/restore",
        history.restore_segment,
        name="segment-restore",
    ),
    path("p/<str:project>/settings", settings.project_settings, name="project-settings"),
    path("p/<str:project>/settings/members", settings.members, name="members"),
    path("p/<str:project>/settings/members/remove", settings.remove_member, name="remove-member"),
    path("p/<str:project>/settings/environments", settings.environments, name="environments"),
    path(
        "p/<str:project>/settings/environments/<str:environment>",
        settings.environment_settings,
        name="environment-settings",
    ),
    path(
        "p/<str:project>/settings/environments/<str:environment>/move",
        settings.move_environment,
        name="move-environment",
    ),
    path(
        "p/<str:project>/settings/environments/<str:environment>/delete",
        settings.delete_environment,
        name="delete-environment",
    ),
    path(
        "p/<str:project>/settings/environments/<str:environment>/keys",
        settings.keys,
        name="sdk-keys",
    ),
    path(
        "p/<str:project>/settings/environments/<str:environment>/keys/create",
        settings.create_key,
        name="create-key",
    ),
    path(
        "p/<str:project>/settings/environments/<str:environment>/keys/<str:key>/revoke",
        settings.revoke_key,
        name="revoke-key",
    ),
    path("p/<str:project>/connect", connect.connect, name="connect"),
    path("p/<str:project>/connect/<str:environment>/key", connect.create_key, name="connect-key"),
    path(
        "p/<str:project>/connect/<str:environment>/connections",
        connect.connections,
        name="connections",
    ),
    path("account", account.profile, name="profile"),
    path("account/tokens", account.api_tokens, name="api-tokens"),
    path("account/tokens/<str:token>/revoke", account.revoke_token, name="revoke-token"),
    path("p/<str:project>/segments", segments.segments, name="segments"),
    path("p/<str:project>/new-segment", segments.create, name="create-segment"),
    path("p/<str:project>/segments/<str:segment>", segments.segment, name="segment"),
    path(
        "p/<str:project>/segments/<str:segment>/definition/<str:environment>/preview",
        segments.preview,
        name="preview-segment",
    ),
    path(
        "p/<str:project>/segments/<str:segment>/definition/<str:environment>",
        segments.save,
        name="save-segment",
    ),
    path(
        "p/<str:project>/segments/<str:segment>/ids/<str:environment>",
        segments.change_ids,
        name="change-segment-ids",
    ),
    path(
        "p/<str:project>/segments/<str:segment>/settings",
        segments.settings,
        name="segment-settings",
    ),
    path("p/<str:project>/segments/<str:segment>/delete", segments.delete, name="delete-segment"),
]
