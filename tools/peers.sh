#!/bin/sh
# Puts what `make bench` compares Rushes with where bench/peers.py looks for it: LiteLLM, FastAPI and arq in a venv of
# their own, and Redis. What cannot be had is said, and left out of the comparison; with CI=true it is an error.
set -eu

venv=.build/peers
lock=requirements/peers.txt

venv_of_peers() {
  cmp -s "$lock" "$venv/peers.txt" && return
  echo "Installing the peers into $venv (once; a minute)"
  rm -rf "$venv"
  .venv/bin/python -m venv "$venv" &&
    .venv/bin/python -m uv pip install --quiet --python "$venv/bin/python" --require-hashes -r "$lock" &&
    cp "$lock" "$venv/peers.txt"
}

redis() {
  command -v redis-server >/dev/null && return
  command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return
  echo "Installing Redis"
  # In runlevel 1 its package starts no service: the bench starts one of its own.
  apt-get update && RUNLEVEL=1 apt-get install -y --no-install-recommends redis-server
}

cd "$(dirname "$0")/.."
missing=
venv_of_peers || missing="LiteLLM, FastAPI and arq (see $lock)"
redis || missing="${missing:+$missing; }redis-server (on Debian: apt-get install redis-server)"
if [ -n "$missing" ]; then
  echo "Not compared with, because it could not be installed: $missing."
  [ "${CI:-}" != true ]
fi
