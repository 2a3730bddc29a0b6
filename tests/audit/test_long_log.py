"""A long log is searched by its indexes, whatever is asked for."""

import pytest
from django.db import connection, transaction

from flags.dashboard.events import NOUNS
from flags.models import Project
from flags.queries.history import Filters, all_streams, filtered, streams_of
from tests.cast import make_accounts, make_shop

pytestmark = pytest.mark.django_db

# Only the columns matter here: each 200th event is by the same person, of the same request or about
# the same flag, and the streams take turns.
LONG_LOG = """
INSERT INTO audit_person (digest, salt, identity)
SELECT 'person-' || n, '', jsonb_build_object('kind', 'person', 'id', n::text, 'name', n::text)
FROM generate_series(0, 199) AS n;
INSERT INTO audit_event (
    id, stream_id, version, at, actor_id, reason, request, submission, effects, canonical,
    previous_hash, hash
)
SELECT
    gen_random_uuid(), streams.keys[1 + n % array_length(streams.keys, 1)], 1000 + n,
    now() + n * interval '1 second', 'person-' || n % 200, '',
    CASE WHEN n % 10 = 0 THEN (n % 2000)::text END, gen_random_uuid(),
    jsonb_build_array(jsonb_build_object(
        'kind', CASE WHEN n % 500 = 0 THEN 'flag.archived' ELSE 'flag.switched' END,
        'subject', 'flag:f-' || n % 200, 'before', NULL, 'after', NULL
    )),
    '', '', lpad(n::text, 64, '0')
FROM generate_series(1, 20000) AS n,
    (SELECT array_agg(key) AS keys FROM audit_stream WHERE key <> 'site') AS streams;
"""


@pytest.fixture(scope="module")
def long_log(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), transaction.atomic():
        make_accounts()
        make_shop()
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(LONG_LOG)
            cursor.execute("ANALYZE audit_event")
        yield
        transaction.set_rollback(True)


FILTERS = [
    Filters(),
    Filters(actor="person:7"),
    Filters(subject="flag:f-17"),
    Filters(request="70"),
    Filters(kind="flag.archived"),
    Filters(kind="flag.switched"),
    Filters(environment="production"),
    Filters(actor="person:7", subject="flag:f-7"),
    Filters(subjects=tuple(f"{noun}:f-17" for noun in NOUNS)),
    Filters(is_bypass=True),
]


@pytest.mark.parametrize("whose", ["site", "project"])
@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_no_question_reads_the_log_through(long_log, whose, filters):
    streams = all_streams() if whose == "site" else streams_of(Project.objects.get(key="shop"))

    rows = filtered(streams, filters).order_by("-at", "stream_id", "-version")[:51]

    assert "Seq Scan on audit_event" not in rows.explain()
    is_rare = filters.request or filters.kind == "flag.archived" or filters.is_bypass
    assert len(rows) == 51 or is_rare
