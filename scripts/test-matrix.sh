#!/usr/bin/env bash
# Runs the tests of logins, renewals and parity with Vault's own method on each version of
# Kubernetes and on each version of Vault that tools/ has a module of, and makes the table of
# README.md of what passed. Other versions of Vault run with the usual Kubernetes only.
# MATRIX="1.34 1.35+1.20" runs some of them, a Kubernetes with the usual Vault or with the one
# named after it, and writes their rows.
set -euo pipefail
cd "$(dirname "$0")/.."

tests='^(TestLogin|TestRenewal|TestRenewalFromElsewhere|TestRenewalOutcomes|TestConfigParity|TestRoleParity|TestFiftyAccountsWithoutARole|TestGrantsHold|TestRoleQuota)$'

# pinned MODULE PATH prints the version of a Go module that a module of tools/ requires.
pinned() { sed -nE "s,^(\t|require )$2 v([0-9.]+).*,\2,p" "tools/$1/go.mod"; }
usual_kubernetes=$(pinned kube-apiserver k8s.io/kubernetes)
usual_kubernetes=${usual_kubernetes%.*}
usual_vault=$(pinned vault github.com/hashicorp/vault)
usual_vault=${usual_vault%.*}
# others_of PROGRAM prints the versions of it that there are besides, by their minor numbers.
others_of() { (cd tools && compgen -G "$1-[0-9]*" | sed "s/^$1-//" | sort -V || true); }

all=$( (echo "$usual_kubernetes" && others_of kube-apiserver) | sort -V && others_of vault | sed "s/^/$usual_kubernetes+/")

# rows prints those that README.md has.
rows() { sed -n '/<!-- matrix -->/,/<!-- end -->/s/^| [0-9].*/&/p' README.md; }

# table makes it of rows.
table() {
	rows=$(sort -V) perl -0pi -e 's/(<!-- matrix -->\n).*?(<!-- end -->)/$1| Kubernetes | Vault | logins, renewals, parity | run on |\n|---|---|---|---|\n$ENV{rows}\n$2/s' README.md
}

failed=0
if [[ -z ${MATRIX:-} ]]; then : | table; fi # versions that are no more go
for one in ${MATRIX:-$all}; do
	kubernetes=${one%+*} vault=$usual_vault
	if [[ $one == *+* ]]; then vault=${one#*+}; fi
	if [[ $kubernetes == "$usual_kubernetes" ]]; then kubernetes=; fi
	if [[ $vault == "$usual_vault" ]]; then vault=; fi
	what="$(pinned "kube-apiserver${kubernetes:+-$kubernetes}" k8s.io/kubernetes) | $(pinned "vault${vault:+-$vault}" github.com/hashicorp/vault)"
	result=pass
	TESTBED_KUBERNETES=$kubernetes TESTBED_VAULT=$vault go test -C test -count=1 -timeout 40m ./e2e -run "$tests" || { result=FAIL failed=1; }
	echo "Kubernetes ${what/ |/, Vault}: $result"
	others=$(rows | grep -vF "| $what |" || true)
	printf '%s\n' ${others:+"$others"} "| $what | $result | $(date -u +%F) |" | table
done
exit $failed
