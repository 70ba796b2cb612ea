#!/usr/bin/env bash
# Installs the Debian packages that the tests need and that are missing.
set -euo pipefail
want="mmdebstrap systemd-container iproute2 openssh-client mariadb-server-core gcc libc6-dev qemu-utils zsh fish"
missing=
for p in $want; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q >/dev/null
# shellcheck disable=SC2086
apt-get install -q -y --no-install-recommends $missing >/dev/null
