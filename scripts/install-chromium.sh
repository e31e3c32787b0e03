#!/usr/bin/env bash
# Prints the path of a Chromium for the browser test. Where there is none, it
# installs Debian's package first, which takes root or sudo, about 125 MB of
# downloads and some 15 seconds. CHROMIUM names a browser to use instead.
set -euo pipefail

say() { echo "install-chromium: $*" >&2; }

# find_browser prints the first browser that runs. Ubuntu's chromium-browser
# without its snap is a script that fails, which is why each is tried.
find_browser() {
	local name path
	for name in ${CHROMIUM:+"$CHROMIUM"} chromium chromium-browser google-chrome google-chrome-stable; do
		path=$(command -v "$name") || continue
		if timeout 30 "$path" --version >/dev/null 2>&1; then
			echo "$path"
			return
		fi
	done
	return 1
}

# as_root runs a command as root, and never asks for a password.
as_root() {
	if ((EUID == 0)); then
		"$@"
	else
		sudo -n "$@"
	fi
}

install_package() {
	command -v apt-get >/dev/null || {
		say "there is no Chromium, and no apt-get to install it with; set CHROMIUM to a browser's path"
		return 1
	}
	if ((EUID != 0)) && ! sudo -n true 2>/dev/null; then
		say "there is no Chromium; install it with: sudo apt-get install chromium"
		return 1
	fi
	say "installing Debian's chromium with apt-get"
	# Package lists may be missing or name versions that the mirror has dropped.
	as_root apt-get -q -o Acquire::Retries=3 update >&2
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 \
		install --no-install-recommends chromium fonts-dejavu-core >&2
}

if [[ -n ${CHROMIUM:-} ]] && ! command -v "$CHROMIUM" >/dev/null; then
	say "CHROMIUM is $CHROMIUM, which is not a program"
	exit 1
fi
started=$SECONDS
if ! browser=$(find_browser); then
	install_package
	browser=$(find_browser) || {
		say "the package is installed, but no browser runs"
		exit 1
	}
	say "done in $((SECONDS - started)) seconds"
fi
say "using $browser, $("$browser" --version 2>/dev/null)"
echo "$browser"
