#!/bin/sh
# Evaluates flags over OFREP with nothing but curl: one flag, then all of them.
set -eu
url=${FLAGSITE_URL:-http://localhost:8000}
: "${FLAGSITE_KEY:?expected an SDK key, made by: manage.py create_sdk_key --project demo --environment development --kind server}"
context='{"context": {"targetingKey": "customer-1", "country": "DE"}}'

# The key is read from standard input, since command lines are public on a machine.
ask() {
    printf 'header = "Authorization: Bearer %s"\n' "$FLAGSITE_KEY" |
        curl --silent --show-error --fail-with-body --config - \
            --header 'Content-Type: application/json' --data "$context" "$url$1"
    echo
}

ask /ofrep/v1/evaluate/flags/new-checkout
ask /ofrep/v1/evaluate/flags
