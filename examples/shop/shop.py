"""A small shop that follows its flags with Flagsite's Python SDK.

It serves one page and prints a line at the start and whenever the checkout changes.
"""

import html
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from flagclient import FlagClient

PAGE = """<!doctype html>
<html lang="en">
<title>Shop</title>
<h1>Your basket</h1>
<p>{checkout}</p>
<button style="background: {color}; color: white">Buy</button>
<p><small>Signed in as {customer}; add ?customer=… to be another.</small></p>
"""

# Answered from memory; started here, once for the life of the process.
flags = FlagClient(
    os.environ.get("FLAGSITE_URL", "http://localhost:8000"),
    os.environ["FLAGSITE_KEY"],
    instance_name="shop",
    cache_path=os.environ.get("SHOP_CACHE"),
)


class Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        customer = asked.get("customer", ["customer-1"])[0]
        is_new, color = checkout_of(customer)
        page = PAGE.format(
            checkout="The new checkout, on one page." if is_new else "The checkout you know.",
            color=html.escape(color),
            customer=html.escape(customer),
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Print changes only."""


def checkout_of(customer: str) -> tuple[bool, str]:
    context = {"targetingKey": customer, "country": "DE"}
    is_new = flags.boolean("new-checkout", False, context)
    return is_new, flags.string("checkout-button-color", "#6c757d", context)


def print_checkout(*_: object) -> None:
    is_new, color = checkout_of("customer-1")
    print(f"new-checkout is {is_new}, checkout-button-color is {color}", flush=True)


def main() -> None:
    flags.wait_until_ready(timeout=5)
    flags.on_change(print_checkout)
    with ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("SHOP_PORT", "8100"))), Shop) as shop:
        print(f"The shop is open at http://127.0.0.1:{shop.server_port}", flush=True)
        print_checkout()
        try:
            shop.serve_forever()
        except KeyboardInterrupt:
            flags.close()


if __name__ == "__main__":
    main()
