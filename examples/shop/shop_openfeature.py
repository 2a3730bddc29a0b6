"""The shop's flags through OpenFeature, evaluated in this process by Flagsite's provider.

Prints a line at the start and whenever the checkout changes.
"""

import os
import threading

from flagclient import FlagClient
from flagclient.openfeature import FlagsiteProvider
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent


def main() -> None:
    flagsite = FlagClient(
        os.environ.get("FLAGSITE_URL", "http://localhost:8000"),
        os.environ["FLAGSITE_KEY"],
        instance_name="shop-openfeature",
    )
    api.set_provider_and_wait(FlagsiteProvider(flagsite))
    client = api.get_client()
    customer = EvaluationContext("customer-1", {"country": "DE"})

    def print_checkout(*_: object) -> None:
        is_new = client.get_boolean_value("new-checkout", False, customer)
        color = client.get_string_value("checkout-button-color", "#6c757d", customer)
        print(f"new-checkout is {is_new}, checkout-button-color is {color}", flush=True)

    client.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, print_checkout)
    print_checkout()
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        api.shutdown()


if __name__ == "__main__":
    main()
