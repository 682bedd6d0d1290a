#!/bin/sh
# Makes or refreshes the virtual environment $1 from requirements/, all by hash. Needs nothing but Python 3.11 or newer.
# PYTHON names the interpreter to use for a new environment. Without it: 3.11 first, the oldest that everything is held to.
set -eu
venv=$1

usable() { # a name on PATH is not enough: version managers leave names that only print an error
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

fail() { printf '%s\n' "$@" >&2; exit 1; }

python=
if [ -n "${PYTHON:-}" ]; then
  usable "$PYTHON" || fail "PYTHON=$PYTHON is not a Python of version 3.11 or newer."
  python=$PYTHON
else
  for name in python3.11 python3 python3.12 python3.13 python3.14 python; do
    if usable "$name"; then python=$name; break; fi
  done
  [ -n "$python" ] || fail "No Python of version 3.11 or newer found on PATH." \
    "Install one (Debian, Ubuntu: apt-get install python3 python3-venv) or name it: make PYTHON=/path/to/python3"
fi

if ! usable "$venv/bin/python"; then
  echo "== virtual environment in $venv, with $("$python" --version)" >&2
  rm -rf "$venv"
  "$python" -m venv "$venv" || { rm -rf "$venv"; fail "" "Python's venv module does not work." \
    "Debian, Ubuntu: apt-get install python3-venv"; }
fi
if ! "$venv/bin/python" -m uv --version >/dev/null 2>&1; then
  "$venv/bin/python" -m pip install --quiet --require-hashes --requirement requirements/bootstrap.txt ||
    fail "Could not install uv: is the package registry within reach? Then run the same command again."
fi
echo "== dependencies from requirements/dev.txt (about half a minute the first time)" >&2
"$venv/bin/python" -m uv pip sync --quiet --require-hashes --compile-bytecode --python "$venv/bin/python" \
  requirements/dev.txt ||
  fail "Could not install the dependencies: is the package registry within reach? Then run the same command again."
touch "$venv/.stamp"
