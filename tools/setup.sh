#!/usr/bin/env bash
# Make the virtual environment of the locked requirements in $1. Installs Debian's python3-venv where it is missing.
set -euo pipefail
venv=${1:?usage: setup.sh VENV}
python=${PYTHON:-python3}
"$python" - <<'PY' || { echo "vna_lifecycle needs Python 3.11 or newer; set PYTHON to one" >&2; exit 1; }
import sys
raise SystemExit(sys.version_info < (3, 11))
PY
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get update -q
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends python3-venv
fi
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
