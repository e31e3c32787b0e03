#!/usr/bin/env bash
# Sets up what demo.sh sets up, prints how to use it, and leaves it running
# until Ctrl-C or SIGTERM, which is how it ends well. Run it with `make dev`.
set -euo pipefail

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

print_usage() {
	local name
	heading "Ready. In another terminal:"
	for name in VAULT_ADDR VAULT_TOKEN KUBECONFIG KUBECACHEDIR; do
		printf 'export %s=%q\n' "$name" "${!name}"
	done
	printf 'export PLUGIN_DIRECTORY=%q\n' "$TESTBED_DIR/vault/plugins"
	printf 'export PATH=%q:"$PATH"\n' "$(dirname "$(command -v vault)")"
	cat <<-EOF

		# log in as the service account
		kubectl create token app -n $id --audience=vault | vault write auth/$mount/login role=demo jwt=-

		# and the secret that the resulting token can read
		vault kv get -mount=$id app

		# logs
	EOF
	printf 'tail -f %q %q\n\n' "$TESTBED_DIR"/{vault/vault,cluster/kube-apiserver}.log
	print_page
	echo "Ctrl-C stops everything."
}

: "${TESTBED_DIR:?is not set: this needs the test bed around it, see make dev}"
set_up
print_usage
until_interrupted
