#!/bin/sh
# Installs what the interoperability tests run into a directory of the caller's: setup.sh DIRECTORY
# What is there already, in the versions asked for, is not installed again: then it needs no network.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"

# A list of versions is copied only after its installation: its copy tells that it is complete.
if ! cmp -s "$here/requirements.txt" requirements.txt; then
    python3 -m venv --clear venv
    venv/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: -r "$here/requirements.txt"
    cp "$here/requirements.txt" requirements.txt
fi

if ! cmp -s "$here/package-lock.json" package-lock.installed; then
    cp "$here/package.json" "$here/package-lock.json" .
    npm ci --silent --ignore-scripts --no-audit --no-fund
    cp package-lock.json package-lock.installed
fi

# Next to their libraries, where node looks for them.
cp "$here/libtorrent_node.py" "$here/bittorrent_dht_node.js" .
