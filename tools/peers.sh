#!/usr/bin/env bash
# Install the programs that the tests and benchmarks use as real peers (Debian; root or sudo).
set -euo pipefail
missing=()
command -v dcmconv >/dev/null || missing+=(dcmtk)
command -v rclone >/dev/null || missing+=(rclone)
command -v openssl >/dev/null || missing+=(openssl)
command -v strace >/dev/null || missing+=(strace)
[ ${#missing[@]} = 0 ] && exit 0
sudo=$([ "$(id -u)" = 0 ] || echo sudo)
$sudo apt-get update -q
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends "${missing[@]}"
