#!/bin/sh
# The two files that the link turns between.
cd /srv/scripts
echo 'upstream scripts { server 127.0.0.1:8201; }' > blue.conf
echo 'upstream scripts { server 127.0.0.1:8202; }' > green.conf
