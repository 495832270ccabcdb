#!/bin/sh
# Debian calls this with "purge" when the configuration goes too. Zone files and keys are the operator's: they stay.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
[ "$1" = purge ] || exit 0

for state in /var/lib/mxtrap /var/lib/private/mxtrap; do
	[ -d "$state" ] || continue
	find "$state" -mindepth 1 -maxdepth 1 ! -name keys -exec rm -rf {} +
	if [ -d "$state/keys" ] && [ -n "$(ls -A "$state/keys")" ]; then
		echo "The keys of signed zones stay in $state/keys." >&2
	else
		rm -rf "$state"
	fi
done
if getent passwd mxtrap >/dev/null; then
	userdel mxtrap || true
fi
