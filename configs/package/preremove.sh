#!/bin/sh
# Debian calls this with "remove", "upgrade" or "deconfigure", RPM with how many versions are left.
set -e
case "$1" in remove | 0) ;; *) exit 0 ;; esac

if [ -d /run/systemd/system ]; then
	systemctl disable --now mxtrap.service || true
fi
