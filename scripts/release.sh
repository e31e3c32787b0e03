#!/usr/bin/env bash
# Makes what a release consists of, in build/release/ or in RELEASE_DIR: for each
# platform the plugin and its bill of materials, the sums of all of them, and the
# commands that register them with Vault. It takes the place of the release that was
# there; whatever else the folder holds stays.
#
# The same commit gives the same bytes with the same version of Go, wherever and
# whenever it is built. VERSION names the version; by default it is the tag of the
# commit, else the version in the source and the commit. PLATFORMS names others than
# the five. With -print-version it prints the version and makes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C # for the order of files

readonly plugin=vault-plugin-auth-kubernetes
platforms=${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64}
link_flags=$(<scripts/link-flags)
out=${RELEASE_DIR:-$PWD/build/release}

fail() {
	echo "release.sh: $*" >&2
	exit 1
}

# in_git tells whether this folder is a checkout of its own, and not merely inside one.
in_git() { [[ $(git rev-parse --show-toplevel 2>/dev/null) == "$(pwd -P)" ]]; }

# version is the one to link in.
version() {
	local source commit
	if [[ -n ${VERSION:-} ]]; then
		echo "$VERSION"
		return
	fi
	in_git || fail "not a git checkout: set VERSION, and SOURCE_DATE_EPOCH"
	git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null && return
	source=$(sed -n 's/^var version = "\(.*\)"$/\1/p' main.go)
	commit=$(TZ=UTC git log -1 --abbrev=12 --date=format-local:%Y%m%d%H%M%S --format=%cd.g%h)
	echo "$source-dev.$commit"
}

# only_what_is_committed refuses to release what no commit has: nobody could build
# the same again.
only_what_is_committed() {
	in_git || return 0
	local changed
	changed=$(git status --porcelain)
	[[ -z $changed ]] || fail "there are changes that no commit has:"$'\n'"$changed"
}

# plain_go lets nothing of this machine's settings into a binary; only where modules
# come from and where they are kept stays as it is.
plain_go() {
	local name value
	for name in GOPROXY GOPRIVATE GONOPROXY GOSUMDB GONOSUMDB GOINSECURE GOMODCACHE GOCACHE GOTOOLCHAIN; do
		value=$(go env "$name")
		export "$name=$value"
	done
	export GOENV=off GOWORK=off GOFLAGS='' GOEXPERIMENT='' GOAMD64=v1 GOARM64=v8.0 GOFIPS140=off
}

# may_hold_a_release refuses a folder with files of somebody else's that a release would
# overwrite. All others stay there, whatever folder RELEASE_DIR names.
may_hold_a_release() {
	[[ ! -e $out/SHA256SUMS && ! -e $out/REGISTER.md ]] || last_release >/dev/null ||
		fail "$out has a SHA256SUMS or a REGISTER.md that is of no release of this plugin"
}

# last_release lists what an earlier run made, which is what its SHA256SUMS names.
last_release() {
	local sums="$out/SHA256SUMS"
	[[ -s $sums ]] || return 1
	! grep -qvE "^[0-9a-f]{64}  (REGISTER\.md|${plugin}_v[0-9A-Za-z.+_-]+)\$" "$sums" || return 1
	cut -c67- "$sums"
	echo SHA256SUMS
}

remove_last_release() {
	local file
	[[ -e $out/SHA256SUMS ]] || return 0
	last_release | while read -r file; do rm -f -- "$out/$file"; done
}

# build PLATFORM FILE compiles the plugin.
build() {
	CGO_ENABLED=0 GOOS=${1%/*} GOARCH=${1#*/} \
		go build -trimpath -buildvcs=false -ldflags "$link_flags -X main.version=$version" -o "$2" .
}

# registration PLATFORM FILE prints how to register a binary, ready to paste.
registration() {
	cat <<-EOF

		## $1

		    vault plugin register \\
		        -sha256=$(sha256sum "$2" | cut -d' ' -f1) \\
		        -command=$2 \\
		        -version=$version \\
		        auth $plugin
	EOF
}

version=$(version)
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$ ]] || fail "VERSION=$version is not like v1.2.3, as Vault wants it"
if [[ ${1:-} == -print-version ]]; then
	echo "$version"
	exit
fi
only_what_is_committed
in_git && : "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
[[ ${SOURCE_DATE_EPOCH:-} =~ ^[0-9]+$ ]] || fail "SOURCE_DATE_EPOCH has to be the time of the commit, in seconds"
plain_go

may_hold_a_release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
made=$work/release
mkdir -p "$made"
CGO_ENABLED=0 go build -C scripts/sbom -trimpath -buildvcs=false -o "$work/sbom" .

{
	echo "# $plugin $version"
	echo
	echo "Built with $(go env GOVERSION). Copy the binary for your platform into the"
	echo "plugin_directory of every Vault server, make it executable, and register it:"
} >"$made/REGISTER.md"
for platform in $platforms; do
	file=${plugin}_${version}_${platform/\//_}
	[[ $platform != windows/* ]] || file+=.exe
	echo "building $file"
	build "$platform" "$made/$file"
	"$work/sbom" -version "$version" "$made/$file" >"$made/$file.cdx.json"
	(cd "$made" && registration "$platform" "$file") >>"$made/REGISTER.md"
done

(cd "$made" && sha256sum -- *) >"$work/SHA256SUMS"
mv "$work/SHA256SUMS" "$made"
touch -d "@$SOURCE_DATE_EPOCH" -- "$made"/*
remove_last_release
mkdir -p "$out"
cp -p -- "$made"/* "$out"
echo "$version is in $out"
