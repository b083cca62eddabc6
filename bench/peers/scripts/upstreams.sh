#!/bin/sh
# Writes the two nginx files, one for each color. The link current.conf points to one of them.
cd /srv/scripts
echo 'upstream scripts { server 127.0.0.1:8201; }' > blue.conf
echo 'upstream scripts { server 127.0.0.1:8202; }' > green.conf
