"""The log, and what is told of connections."""

from django.contrib import admin

from audit.models import Archive, Event, OutboxEntry, Person, Statement, Stream
from flags.admin.door import ReadOnly
from flags.models import Delivery, Instance


@admin.register(Event)
class EventTable(ReadOnly):
    list_display = ("stream", "version", "at", "actor", "reason")
    list_select_related = ("actor", "stream")
    list_filter = ("at",)
    search_fields = ("stream__key__exact", "reason", "hash__startswith")
    exclude = ("delta", "canonical")
    ordering = ("-at",)


@admin.register(Stream)
class StreamTable(ReadOnly):
    list_display = ("key", "version", "head_hash", "at")
    search_fields = ("key",)


@admin.register(Person)
class PersonTable(ReadOnly):
    list_display = ("digest", "__str__")
    search_fields = ("digest", "identity__name")
    exclude = ("salt",)


@admin.register(Statement)
class StatementTable(ReadOnly):
    list_display = ("number", "at", "key", "hash")
    search_fields = ("hash__startswith", "key")
    exclude = ("canonical",)


@admin.register(Archive)
class ArchiveTable(ReadOnly):
    list_display = ("stream", "first", "last", "at", "file")
    list_select_related = ("stream",)
    search_fields = ("stream__key__exact", "file")


@admin.register(OutboxEntry)
class OutboxEntryTable(ReadOnly):
    list_display = ("subscriber", "stream", "version", "attempts", "not_before")
    list_filter = ("subscriber",)
    search_fields = ("stream", "last_error")


@admin.register(Instance)
class InstanceTable(ReadOnly):
    list_display = ("instance", "environment", "kind", "name", "sdk", "version", "seen_at")
    list_select_related = ("environment",)
    list_filter = ("kind", "sdk")
    search_fields = ("name", "sdk")


@admin.register(Delivery)
class DeliveryTable(ReadOnly):
    list_display = ("environment", "version", "committed_at", "expected", "receipts")
    list_select_related = ("environment",)
    search_fields = ("environment__key",)
