"""The examples' shop: it prints, and shows, what changes."""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.sdk.loopback import KEY, PATIENCE, a_flag, a_ruleset

ROOT = Path(__file__).resolve().parents[2]
SHOP = ROOT / "examples" / "shop"


@pytest.fixture
def open_shop(server):
    """Start an example against the server; it is stopped at the end."""
    color = a_flag("checkout-button-color", kind="string", value="#0054a6")
    server.ruleset = a_ruleset(a_flag("new-checkout", value=False), color)
    started = []

    def start(name):
        shop = subprocess.Popen(
            [sys.executable, SHOP / name],
            env={
                **os.environ,
                "FLAGSITE_URL": server.url,
                "FLAGSITE_KEY": KEY,
                "SHOP_PORT": "0",
                "PYTHONPATH": f"{ROOT}:{ROOT / 'sdk' / 'python'}",
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(shop)
        return shop

    yield start
    for shop in started:
        shop.terminate()
        shop.wait(PATIENCE)
        shop.stdout.close()


def test_the_shop_changes_its_page_without_a_restart(server, open_shop):
    shop = open_shop("shop.py")
    address = shop.stdout.readline().split()[-1]
    assert shop.stdout.readline() == "new-checkout is False, checkout-button-color is #0054a6\n"
    assert "The checkout you know." in page(address)

    server.change(a_flag("new-checkout", value=True, version=2))

    assert shop.stdout.readline() == "new-checkout is True, checkout-button-color is #0054a6\n"
    assert "The new checkout" in page(address)


def test_the_shop_through_openfeature_prints_the_change(server, open_shop):
    shop = open_shop("shop_openfeature.py")
    assert shop.stdout.readline() == "new-checkout is False, checkout-button-color is #0054a6\n"

    server.change(a_flag("new-checkout", value=True, version=2))

    assert shop.stdout.readline() == "new-checkout is True, checkout-button-color is #0054a6\n"


def page(address):
    with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
        return answer.read().decode()
