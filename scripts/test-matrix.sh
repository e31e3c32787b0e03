#!/usr/bin/env bash
# Runs the tests of logins, renewals and parity with Vault's own method on each version of
# Kubernetes that tools/ has a module of, and writes what passed into the table of README.md.
# MATRIX="1.34 1.35" runs some of them and writes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

tests='^(TestLogin|TestRenewal|TestRenewalFromElsewhere|TestRenewalOutcomes|TestConfigParity|TestRoleParity|TestFiftyAccountsWithoutARole|TestGrantsHold|TestRoleQuota)$'
usual=$(sed -n 's/^\tk8s.io\/kubernetes v\(1\.[0-9]*\)\..*/\1/p' tools/kube-apiserver/go.mod)
vault=$(sed -n 's/^\tgithub.com\/hashicorp\/vault v\([0-9.]*\).*/\1/p' tools/vault/go.mod)
all=$(printf '%s\n' "$usual" $(cd tools && printf '%s\n' kube-apiserver-1.* | sed 's/kube-apiserver-//') | sort -V)

rows='' failed=0
for version in ${MATRIX:-$all}; do
	module=tools/kube-apiserver-$version kubernetes=$version
	if [[ $version == "$usual" ]]; then
		module=tools/kube-apiserver kubernetes=
	fi
	exact=$(sed -n 's/^\tk8s.io\/kubernetes v\([0-9.]*\).*/\1/p' "$module/go.mod")
	result=pass
	TESTBED_KUBERNETES=$kubernetes go test -C test -count=1 -timeout 40m ./e2e -run "$tests" || { result=FAIL failed=1; }
	echo "Kubernetes $exact with Vault $vault: $result"
	rows+="| $exact | $vault | $result | $(date -u +%F) |"$'\n'
done
if [[ -z ${MATRIX:-} ]]; then
	rows=$rows perl -0pi -e 's/(<!-- matrix -->\n).*?(<!-- end -->)/$1| Kubernetes | Vault | logins, renewals, parity | run on |\n|---|---|---|---|\n$ENV{rows}$2/s' README.md
fi
exit $failed
