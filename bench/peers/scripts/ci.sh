#!/bin/sh
# Both, and a look at how it went.
set -eu
host=$1 program=$2
here=$(dirname "$0")
"$here/prepare.sh" "$host" "$program"
ssh "$host" sh /srv/scripts/apply.sh
ssh "$host" "systemctl is-active 'scripts@*' && readlink /srv/scripts/current.conf"
