#!/bin/sh
# Runs on the server: starts the new version on the idle color, checks its unit, switches the link, reloads nginx.
set -eu
cd /srv/scripts
sh upstreams.sh
if [ "$(readlink current.conf 2> /dev/null)" = blue.conf ]; then idle=green; else idle=blue; fi
systemctl daemon-reload
systemctl stop "scripts@$idle"
mkdir -p "$idle"
chmod +x app.new
mv app.new "$idle/app"
systemctl start "scripts@$idle"
sleep 2
systemctl is-active --quiet "scripts@$idle"
ln -sfn "$idle.conf" current.conf
nginx -q -t
nginx -s reload
echo "$idle is live"
