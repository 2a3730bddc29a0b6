"""Requests per CPU-second of the server process, wrk with 64 connections beside it.

python -m bench.http [--server uvicorn|granian] [--rounds 3] [--seconds 5] [--sockets 2000]
"""

import argparse
import http.client
import json
import re
import statistics
import subprocess
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from bench.http.fanout import fan_out
from bench.http.servers import Server, running
from bench.http.stack import stack

CONTEXT = {"context": {"targetingKey": "user-123", "country": "DE", "plan": "pro", "age": 42}}
CONNECTIONS = 64


@dataclass(frozen=True)
class Case:
    name: str
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    expected: int = 200

    def script(self) -> str:
        """What wrk sends, in its own language."""
        lines = [f'wrk.method = "{self.method}"', f"wrk.body = {json.dumps(self.body)}"]
        lines += [
            f'wrk.headers["{name}"] = {json.dumps(value)}' for name, value in self.headers.items()
        ]
        return "\n".join(lines)

    def ask(self, server: Server) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request(self.method, self.path, self.body, self.headers)
        response = connection.getresponse()
        response.payload = response.read()  # type: ignore[attr-defined]
        assert response.status == self.expected, f"{self.name}: {response.status}"
        return response


@dataclass(frozen=True)
class Measured:
    per_second: float
    per_cpu_second: float
    p99_ms: float


def main() -> None:
    options = parsed()
    with stack() as prepared:
        application = running(
            "flagsite.asgi:application", server=options.server, variables=prepared.variables
        )
        floor = running("bench.http.floor:application", server=options.server, variables={})
        with application as ours, floor as bare:
            cases = cases_of(ours, prepared.server_key, prepared.client_key)
            measured: dict[str, list[Measured]] = defaultdict(list)
            for _ in range(options.rounds):
                # Interleaved, so that a noisy minute falls on the floor as well.
                for case in cases:
                    target = bare if case.name.startswith("bare") else ours
                    measured[case.name].append(measure(target, case, options.seconds))
            report(measured)
            print(
                f"\nmemory {ours.memory_mb():.0f} MB, the bare application {bare.memory_mb():.0f} MB"
            )
            if options.sockets:
                print(fan_out(ours, prepared.server_key, sockets=options.sockets, changes=10))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.http", description=__doc__)
    parser.add_argument("--server", default="uvicorn", choices=["uvicorn", "granian"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--sockets", type=int, default=2000)
    return parser.parse_args()


def cases_of(ours: Server, server_key: str, client_key: str) -> list[Case]:
    body = json.dumps(CONTEXT)
    sends = {"content-type": "application/json"}
    server = {"authorization": f"Bearer {server_key}"}
    client = {"authorization": f"Bearer {client_key}"}
    one, everything, ruleset = (
        "/ofrep/v1/evaluate/flags/flag-02",
        "/ofrep/v1/evaluate/flags",
        "/sdk/v1/ruleset",
    )
    bulk = Case("all 54 flags", "POST", everything, {**client, **sends}, body)
    whole = Case("ruleset of 54 flags", "GET", ruleset, server)
    tags = [case.ask(ours).headers["etag"] for case in (bulk, whole)]
    return [
        Case("bare application", "POST", one, {**server, **sends}, body),
        Case("one flag, server key", "POST", one, {**server, **sends}, body),
        Case("one flag, client key", "POST", one, {**client, **sends}, body),
        bulk,
        Case(
            "all 54 flags, 304",
            "POST",
            everything,
            {**client, **sends, "if-none-match": tags[0]},
            body,
            304,
        ),
        whole,
        Case("ruleset, gzip", "GET", ruleset, {**server, "accept-encoding": "gzip"}),
        Case("ruleset, 304", "GET", ruleset, {**server, "if-none-match": tags[1]}, "", 304),
    ]


def measure(server: Server, case: Case, seconds: int) -> Measured:
    case.ask(server)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "case.lua"
        script.write_text(case.script())
        command = [
            *("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script)),
            server.url + case.path,
        ]
        before = server.cpu_seconds()
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        cpu = server.cpu_seconds() - before
    requests = int(_found(r"(\d+) requests in", said))
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", said)
    assert failed is None, failed
    return Measured(
        per_second=float(_found(r"Requests/sec:\s+([\d.]+)", said)),
        per_cpu_second=requests / cpu,
        p99_ms=_milliseconds(_found(r"99%\s+([\d.]+\w+)", said)),
    )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, text
    return match[1]


def _milliseconds(text: str) -> float:
    for unit, factor in (("us", 0.001), ("ms", 1.0), ("s", 1000.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(text)


def report(measured: dict[str, list[Measured]]) -> None:
    floor = statistics.median(m.per_cpu_second for m in measured["bare application"])
    print("| | requests/CPU-s | of the bare application | requests/s | p99 ms |")
    print("|---|---:|---:|---:|---:|")
    for name, rounds in measured.items():
        cpu = statistics.median(m.per_cpu_second for m in rounds)
        wall = statistics.median(m.per_second for m in rounds)
        p99 = statistics.median(m.p99_ms for m in rounds)
        print(f"| {name} | {cpu:,.0f} | {cpu / floor:.0%} | {wall:,.0f} | {p99:.1f} |")


if __name__ == "__main__":
    main()
