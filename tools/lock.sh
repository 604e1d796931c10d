#!/usr/bin/env bash
# Write requirements/dev.txt: the development environment, every file by its hash, for Python 3.11 and newer.
set -euo pipefail
venv=${1:?usage: lock.sh VENV}
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
"$venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --custom-compile-command "make lock" --extra testing --extra pixels --group dev pyproject.toml \
  -o requirements/dev.txt
