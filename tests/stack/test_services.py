import pytest
from django.core.cache import cache
from django.db import connection


@pytest.mark.django_db
def test_the_run_has_its_own_postgresql():
    with connection.cursor() as cursor:
        cursor.execute("select current_database(), lower('ÄÖ'), current_setting('fsync')")

        database, lowered, fsync = cursor.fetchone()

    assert database.startswith("test_flagsite")
    assert (lowered, fsync) == ("äö", "off")


def test_the_run_has_its_own_valkey():
    cache.set("greeting", "hello")

    assert cache.get("greeting") == "hello"
