#!/usr/bin/env bash
# Prints the folder of the npm clients of Vault that the tests run, a node to run them
# with, and a python3 that can import hvac, a line each. What is missing is installed
# first: nodejs, npm and python3-hvac with apt-get, which takes root or sudo, and the
# packages of test/clients/testdata/node, at the versions and sums of its lock file, into
# the user's cache folder.
set -euo pipefail

say() { echo "install-clients: $*" >&2; }

# as_root runs a command as root, and never asks for a password.
as_root() {
	if ((EUID == 0)); then
		"$@"
	else
		sudo -n "$@"
	fi
}

# find_python prints a python3 with hvac. Debian's package is of Debian's own python3,
# which need not be the first one in PATH.
find_python() {
	local python
	for python in /usr/bin/python3 python3; do
		if "$python" -c 'import hvac' 2>/dev/null; then
			command -v "$python"
			return
		fi
	done
	return 1
}

missing=()
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
find_python >/dev/null || missing+=(python3-hvac)
if ((${#missing[@]})); then
	if ! command -v apt-get >/dev/null || { ((EUID != 0)) && ! sudo -n true 2>/dev/null; }; then
		say "these are missing: ${missing[*]}"
		exit 1
	fi
	say "installing Debian's ${missing[*]} with apt-get"
	as_root apt-get -q -o Acquire::Retries=3 update >&2
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 \
		install --no-install-recommends "${missing[@]}" >&2
fi

node_dir=$(cd "$(dirname "$0")/../test/clients/testdata/node" && pwd)
sum=$(sha256sum "$node_dir/package-lock.json" | cut -c1-12)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/vault-plugin-auth-kubernetes/node-clients-$sum
exec 9>"$(mkdir -p "${cache%/*}" && echo "${cache%/*}")/.node-clients.lock"
flock 9
if [[ ! -d $cache ]]; then
	say "installing the npm clients into $cache"
	rm -rf "${cache%/*}"/node-clients-*
	mkdir "$cache.tmp"
	cp "$node_dir"/package*.json "$cache.tmp/"
	# No package's own script runs.
	(cd "$cache.tmp" && npm ci --ignore-scripts --no-audit --no-fund >&2)
	mv "$cache.tmp" "$cache"
fi
echo "$cache/node_modules"
command -v node
find_python
