#!/usr/bin/env bash
# Shows a pod's way into Vault: sets up the auth method, logs in with a service
# account's token, reads a secret, and is refused once the account is gone.
#
# It runs against the cluster of the current kubectl context and the Vault at
# VAULT_ADDR, needs rights to administer both, and removes what it created.
# `make demo` brings up both for it, `make demo MINE=1` takes those of the shell.
set -euo pipefail

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

log_in() {
	heading "What a pod finds in its volume: a token for the audience vault"
	run_to app.jwt kubectl create token app -n "$id" --audience=vault

	heading "Log in"
	run vault write "auth/$mount/login" role=demo jwt=@app.jwt | tee login.out
	token=$(awk '$1 == "token" { print $2 }' login.out)

	heading "What Vault knows of the token it gave"
	as "$token" vault token lookup | tee lookup.out
	later vault delete "identity/entity/id/$(awk '$1 == "entity_id" { print $2 }' lookup.out)"

	heading "What the token is good for"
	as "$token" vault kv get -mount="$id" app
}

# show_consul has the same service account get into Consul, if the bed has one. A Consul
# of the shell's own is left alone.
show_consul() {
	[[ -n ${TESTBED_DIR:-} ]] || return 0
	if [[ -z ${CONSUL_HTTP_ADDR:-} ]]; then
		heading "With a Consul this shows its tokens too: make demo CONSUL=1 builds one once, in 4 to 6 minutes"
		return
	fi
	create_consul_tokens

	heading "A pod's way into Consul: its own command, with Vault in place of Consul"
	local way=(-http-addr="$VAULT_ADDR/v1/auth/$mount")
	run consul login "${way[@]}" -method=kubernetes -bearer-token-file=app.jwt -token-sink-file=app.consul -meta pod=app-1
	run consul acl token read -self -token-file=app.consul
	run consul services register -name=app -token-file=app.consul
	must_fail consul services register -name=other -token-file=app.consul
	run consul services deregister -id=app -token-file=app.consul
	run consul logout "${way[@]}" -token-file=app.consul
	must_fail consul acl token read -self -token-file=app.consul

	heading "The same with a lease, as Vault Agent asks for it"
	run vault write "auth/$mount/consul/token/kubernetes" jwt=@app.jwt
}

# must_fail CMD… ends the demo if the command is allowed.
must_fail() {
	if run "$@" 2>&1; then
		echo "This should have been refused." >&2
		exit 1
	fi
}

# name_place says whose cluster and Vault this will write to.
name_place() {
	[[ -z ${TESTBED_DIR:-} ]] || return 0
	heading "Using the Vault at ${VAULT_ADDR:-the default address} and the cluster of the kubectl context" \
		"$(kubectl config current-context)"
}

# be_refused fails if a deleted account can still log in.
be_refused() {
	heading "The service account goes away, and its tokens with it"
	run kubectl delete serviceaccount app -n "$id"
	show vault write "auth/$mount/login" role=demo jwt=@app.jwt
	echo "(waiting, for the API server remembers a token that it has just reviewed for 10 seconds)"
	local tries=30
	while vault write "auth/$mount/login" role=demo jwt=@app.jwt >/dev/null 2>refusal.out; do
		if ((--tries == 0)); then
			echo "The login was not refused." >&2
			exit 1
		fi
		sleep 1
	done
	cat refusal.out
	grep -q 'Code: 403' refusal.out || {
		echo "The login failed, but it was not refused." >&2
		exit 1
	}
}

# show_page leaves time to look at the web page, if there is one, while the service
# account can still log in.
show_page() {
	[[ -n ${WEB_URL:-} ]] || return 0
	print_page
	printf 'A token to explain is in %q.\n' "$PWD/app.jwt"
	if [[ ! -t 0 ]]; then
		echo "Ctrl-C stops everything."
		until_interrupted
	fi
	read -r -p "Enter goes on with the demo. " || echo
}

name_place
set_up
log_in
show_consul
show_page
be_refused
heading "Done; what this created is now removed"
