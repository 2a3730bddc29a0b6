"""Keeps one program running for as long as another process lives.

    python keeper.py --while PID [--name NAME] [--user UID:GID] [--stop-signal INT]
                     [--grace SECONDS] -- program argument ...

The program is started again when it dies; not when it gives up by itself in its first minute,
because then it is misconfigured and its message is what matters. TERM or INT to the keeper, or the end of
process PID, stops the program by its stop signal and, after the grace, by KILL. On Linux a keeper that
is itself killed takes the program along, by the stop signal.

Runs as a script of its own, on the standard library only: it starts in a blink and outlives
whatever it watches.
"""

import argparse
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

STARTING_SECONDS = 60  # giving up sooner than this after the first start counts as misconfigured
SETTLED_SECONDS = 30  # living this long makes earlier deaths forgotten
LONGEST_PAUSE_SECONDS = 10
DEATHS_UNTIL_GIVEN_UP = 10
WATCH_SECONDS = 0.5  # how soon the end of the watched process is noticed
PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>


def main() -> int:
    options = arguments()
    stopping = Stopping(options.watched)
    pause, deaths = 0.5, 0
    is_first_life = True
    while True:
        started = time.monotonic()
        code = run_once(options, stopping)
        if stopping.asked():
            return 0
        now = time.monotonic()
        if is_first_life and code >= 0 and now - started < STARTING_SECONDS:
            return code or 1
        is_first_life = False
        if now - started > SETTLED_SECONDS:
            pause, deaths = 0.5, 0
        deaths += 1
        if deaths > DEATHS_UNTIL_GIVEN_UP:
            say(f"{options.name} keeps dying ({ending(code)}); given up")
            return code or 1
        say(f"{options.name} died ({ending(code)}); starting it again in {pause:g} s")
        if stopping.asked_within(pause):
            return 0
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


class Stopping:
    """Whether it is time to stop: a signal came, or the watched process is gone."""

    def __init__(self, watched: int) -> None:
        self.watched = watched
        self.signalled = False
        self.woken, wake = os.pipe()
        os.set_blocking(self.woken, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.note)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def note(self, *_signal_and_frame: object) -> None:
        self.signalled = True

    def asked(self) -> bool:
        return self.signalled or not is_alive(self.watched)

    def pause(self, seconds: float) -> None:
        """Rest until a signal comes (the end of the program is one), `seconds` at most."""
        if select.select([self.woken], [], [], seconds)[0]:
            os.read(self.woken, 64)

    def asked_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while not self.asked() and (left := until - time.monotonic()) > 0:
            self.pause(min(left, WATCH_SECONDS))
        return self.asked()


def run_once(options: argparse.Namespace, stopping: Stopping) -> int:
    """Run the program until it ends or must stop; its exit code, negative for a signal."""
    program = subprocess.Popen(
        options.program,
        # A group of its own: a Ctrl-C or a TERM meant for the keeper's group must reach the program
        # once, through the keeper, and never its pool processes directly.
        process_group=0,
        stdin=subprocess.DEVNULL,
        user=options.user[0] if options.user else None,
        group=options.user[1] if options.user else None,
        extra_groups=[] if options.user else None,
        # Runs after the change of user, which would take it back. The keeper has one thread.
        preexec_fn=ending_with_parent(options.stop_signal),
    )
    while (code := program.poll()) is None:
        if stopping.asked():
            return stop(program, options.stop_signal, options.grace)
        stopping.pause(WATCH_SECONDS)
    return code


def ending_with_parent(stop_signal: signal.Signals) -> Callable[[], None] | None:
    """What the new process calls so that it is signalled when the keeper is gone; Linux has it."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    number = int(stop_signal)
    return lambda: prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def stop(program: subprocess.Popen[bytes], stop_signal: signal.Signals, grace: float) -> int:
    program.send_signal(stop_signal)
    try:
        code = program.wait(timeout=grace)
    except subprocess.TimeoutExpired:
        code = -signal.SIGKILL
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGKILL)  # whatever of its group did not leave with it
    program.wait()
    return code


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="keeper")
    parser.add_argument("--while", dest="watched", type=int, required=True)
    parser.add_argument("--name", default="the program")
    parser.add_argument("--user", type=lambda text: tuple(int(part) for part in text.split(":")))
    parser.add_argument(
        "--stop-signal", type=lambda text: signal.Signals[f"SIG{text}"], default=signal.SIGTERM
    )
    parser.add_argument("--grace", type=float, default=4.0)
    parser.add_argument("program", nargs="+")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
