"""What a request is called that nobody named."""

import pytest

from flags.changes.requests.titles import titled

ON = {"kind": "flag.switched", "environment": "production", "flag": "checkout", "on": True}
RULES = {"kind": "flag.configured", "environment": "staging", "flag": "checkout", "rules": []}


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ([ON], "switched on in production"),
        ([{**ON, "on": False}], "switched off in production"),
        ([ON, {**ON, "environment": "staging"}], "switched on in production and staging"),
        ([ON, RULES], "switched on in production, configured in staging"),
        ([{**RULES, "enabled": True}], "switched on and configured in staging"),
        (
            [{"kind": "flag.configured", "schema": 1, "project": "shop", "environment": "staging", "flag": "checkout", "enabled": False}],
            "switched off in staging",
        ),
        ([{"kind": "lease.granted", "changes": [ON], "seconds": 7_200}], "switched on for 2 hours in production"),
        (
            [{"kind": "lease.granted", "changes": [ON], "ends_at": "2031-07-01T09:00:00Z"}],
            "switched on until 1 July 2031, 09:00 UTC in production",
        ),
        ([{"kind": "policy.set", "environment": "checkout"}], "policy set"),
        ([{"kind": "flag.edited", "flag": "checkout", "name": "x"}], "edited"),
    ],
)  # fmt: skip
def test_it_says_what_is_done_and_where(changes, title):
    assert titled([{"subject": "flag:checkout"}], changes) == f"checkout: {title}"


def test_it_names_a_few_of_many_and_is_never_too_long():
    seen = [{"subject": f"flag:{letter * 90}"} for letter in "abcd"]

    assert titled(seen[:1] * 9, [ON]).startswith("a" * 90 + ": switched on")
    assert (len(titled(seen, [ON])), titled(seen, [ON])[-1]) == (200, "…")


def test_it_gives_no_number_for_a_name():
    promoted = {"kind": "member.set", "username": "grace", "role": "admin"}

    assert titled([{"subject": "member:7"}], [promoted]) == "member set"
    both = titled([{"subject": "member:7"}, {"subject": "flag:checkout"}], [promoted, ON])
    assert both == "checkout: member set, switched on in production"
