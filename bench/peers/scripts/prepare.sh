#!/bin/sh
# Copies the program, its unit and the nginx files to the server.
set -eu
host=$1 program=$2
here=$(dirname "$0")
scp -q "$program" "$host:/srv/scripts/app.new"
scp -q "$here/app@.service" "$host:/etc/systemd/system/scripts@.service"
scp -q "$here/nginx.conf" "$host:/etc/nginx/conf.d/scripts.conf"
scp -q "$here/upstreams.sh" "$host:/srv/scripts/upstreams.sh"
scp -q "$here/apply.sh" "$host:/srv/scripts/apply.sh"
