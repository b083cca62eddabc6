#!/bin/sh
# Runs prepare.sh and apply.sh, then shows the state of both colors and the link.
set -eu
host=$1 program=$2
here=$(dirname "$0")
"$here/prepare.sh" "$host" "$program"
ssh "$host" sh /srv/scripts/apply.sh
ssh "$host" "systemctl is-active 'scripts@*' && readlink /srv/scripts/current.conf"
