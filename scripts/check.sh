#!/usr/bin/env bash
# The static checks of one or more modules, with tools at the versions that
# tools/ pins: check.sh DIR…
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
bin=$root/build/tools
mkdir -p "$bin"

# tool NAME PACKAGE builds a pinned tool; the Go build cache makes the second
# time fast.
tool() {
	echo "building $1 (once 2 to 5 minutes, then seconds)"
	CGO_ENABLED=0 go build -C "$root/tools/$1" -trimpath -ldflags "-s -w" -o "$bin/$1" "$2"
}

# vulnerabilities runs govulncheck. Its database is fetched from the network; a
# machine that cannot reach it is told so, and fails only with VULNCHECK=required.
vulnerabilities() {
	local out status=0
	out=$("$bin/govulncheck" ./... 2>&1) || status=$?
	case $status:$out in
	0:*) ;;
	*"fetching vulnerabilities:"*)
		echo "WARNING: $PWD: the vulnerability database cannot be reached, nothing was checked (GOVULNDB names another)"
		[[ ${VULNCHECK:-} != required ]]
		;;
	*)
		echo "$out"
		return "$status"
		;;
	esac
}

# verify compares what was downloaded with what its authors published. Go also looks for
# a download of the test module, which bench/ takes from its folder: none is no fault.
verify() {
	local out
	out=$(go mod verify 2>&1) && return
	out=$(grep -v '^vault-plugin-auth-kubernetes/test .*: missing ziphash' <<<"$out") || return 0
	echo "$out"
	return 1
}

tool golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
tool govulncheck golang.org/x/vuln/cmd/govulncheck

unformatted=$(git ls-files --cached --others --exclude-standard '*.go' | xargs gofmt -l)
[[ -z $unformatted ]] || { echo "not formatted: $unformatted"; exit 1; }

for module in "$@"; do
	cd "$root/$module"
	echo "checking module $module"
	go mod tidy -diff
	verify
	go vet ./...
	"$bin/golangci-lint" run --config "$root/.golangci.yml" ./...
	vulnerabilities
done

for script in "$root"/scripts/*.sh; do bash -n "$script"; done
echo "all checks passed"
