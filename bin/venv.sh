# Sourced by the commands in this folder: the virtual environment, made and kept up to date.
# Works in any POSIX shell. Sets the working folder to the checkout.

# A relative data folder is meant from where the command was called.
case "${FLAGSITE_HOME:-}" in
"" | /* | "~"*) ;;
*) FLAGSITE_HOME="$PWD/$FLAGSITE_HOME" && export FLAGSITE_HOME ;;
esac
cd -P -- "$(dirname -- "$0")/.."

fail() {
    echo "flagsite: $*" >&2
    exit 1
}

# Prints the newest Python that can carry Flagsite.
newest_python() {
    for name in python3.14 python3.13 python3.12 python3.11 python3 python; do
        if "$name" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
            2>/dev/null; then
            echo "$name"
            return
        fi
    done
    fail "no suitable Python found: install Python 3.11 or later with its venv module" \
        "(on Debian and Ubuntu: apt install python3 python3-venv)."
}

# install FILE: bring the environment to the pins of FILE, unless it was brought there before.
install() {
    installed=".venv/installed-$1"
    if cmp -s "$1" "$installed"; then
        return
    fi
    echo "Installing $1 …" >&2
    if ! command -v uv >/dev/null 2>&1 && [ ! -x .venv/bin/uv ]; then
        # Several times faster than pip; where it cannot be had, pip does the same.
        .venv/bin/python -m pip install --quiet --disable-pip-version-check uv 2>/dev/null || true
    fi
    uv=$(command -v .venv/bin/uv || command -v uv || true)
    if [ -z "$uv" ] || ! "$uv" pip install --quiet --python .venv/bin/python -r "$1" 2>/dev/null; then
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$1" ||
            fail "the requirements in $1 could not be installed, as said above."
    fi
    cp "$1" "$installed"
}

# ready_venv FILE...: make the environment where it is missing or broken, then install each FILE.
# Commands that begin at once in one checkout take turns, where the system can lock files.
ready_venv() {
    if [ -w . ] && command -v flock >/dev/null 2>&1; then
        exec 9>.venv.lock
        flock 9
    fi
    if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
        python=$(newest_python) || exit 1
        echo "Making .venv with $("$python" --version) …" >&2
        "$python" -m venv --clear .venv || fail "$python could not make .venv, as said above."
    fi
    for file in "$@"; do
        install "$file"
    done
    exec 9>&-
}
