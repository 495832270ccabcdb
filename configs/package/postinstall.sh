#!/bin/sh
# Debian calls this with "configure" and the version before, RPM with how many versions there are.
set -e
case "$1" in configure | 1 | 2) ;; *) exit 0 ;; esac

getent passwd mxtrap >/dev/null || useradd --system --user-group --home-dir /var/lib/mxtrap --no-create-home --shell /usr/sbin/nologin mxtrap
chgrp mxtrap /etc/mxtrap/mxtrap.toml

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	if [ "$1" = 2 ] || [ -n "$2" ]; then
		systemctl try-restart mxtrap.service || true # the new program; secondaries and resolvers bridge the moment
	else
		systemctl enable --now mxtrap.service || true # waits for the first zone
	fi
elif [ -z "$2" ] && [ "$1" != 2 ] && command -v systemctl >/dev/null; then
	systemctl enable mxtrap.service >/dev/null 2>&1 || true
fi
