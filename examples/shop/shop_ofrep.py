"""The shop's flags through OpenFeature and OFREP: nothing of Flagsite is installed here.

The server evaluates; the provider asks it each time. Prints a line at the start and whenever the
checkout changes.
"""

import os
import time

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

SECONDS_BETWEEN_CUSTOMERS = 0.5


def main() -> None:
    key = os.environ["FLAGSITE_KEY"]
    provider = OFREPProvider(
        os.environ.get("FLAGSITE_URL", "http://localhost:8000"),
        headers_factory=lambda: {"Authorization": f"Bearer {key}"},
    )
    api.set_provider_and_wait(provider)
    client = api.get_client()
    customer = EvaluationContext("customer-1", {"country": "DE"})

    printed = None
    try:
        while True:
            is_new = client.get_boolean_value("new-checkout", False, customer)
            color = client.get_string_value("checkout-button-color", "#6c757d", customer)
            line = f"new-checkout is {is_new}, checkout-button-color is {color}"
            if line != printed:
                print(line, flush=True)
                printed = line
            time.sleep(SECONDS_BETWEEN_CUSTOMERS)
    except KeyboardInterrupt:
        api.shutdown()


if __name__ == "__main__":
    main()
