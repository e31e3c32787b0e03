# Sourced by demo.sh and dev.sh: sets up a demo mount in a Vault and a cluster,
# printing each command as a user would type it, and takes it down again.
# shellcheck shell=bash

readonly plugin=vault-plugin-auth-kubernetes
mount=clusters/demo
id=demo-$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n') # beside other demos in a shared cluster
readonly id

undo=() # commands that take down what was created, in order of creation

heading() { printf '\n# %s\n' "$*"; }

# show prints a command, quoted only where it has to be.
show() {
	local line='$' arg
	for arg; do
		case $arg in
		'' | *[!A-Za-z0-9_@%+=:,./-]*) line+=" '${arg//\'/\'\\\'\'}'" ;;
		*) line+=" $arg" ;;
		esac
	done
	printf '%s\n' "$line"
}

run() {
	show "$@"
	"$@"
}

# run_to FILE CMD… keeps the command's output, a token, in a file: as an
# argument it would be in the process list for everyone to see.
run_to() {
	local file=$1
	shift
	printf '%s > %s\n' "$(show "$@")" "$file"
	"$@" >"$file"
	printf '%.24s… (%d characters)\n' "$(cat "$file")" "$(wc -c <"$file")"
}

# as TOKEN CMD… runs a command with another Vault token.
as() {
	local token=$1 line
	shift
	line=$(show "$@")
	printf '$ VAULT_TOKEN=%.12s… %s\n' "$token" "${line#\$ }"
	VAULT_TOKEN=$token "$@"
}

# later CMD… notes how to take down what was just created.
later() { undo+=("$(printf '%q ' "$@")"); }

cleanup() {
	local status=$? i
	# A second Ctrl-C must not leave half of it behind.
	trap '' INT TERM HUP
	trap - EXIT
	# A test bed that has gone took everything with it.
	[[ -z ${TESTBED_DIR:-} || -d $TESTBED_DIR ]] || undo=()
	for ((i = ${#undo[@]} - 1; i >= 0; i--)); do
		eval "${undo[i]}" >/dev/null 2>"$work/cleanup.err" || {
			printf 'could not clean up: %s\n' "${undo[i]}" >&2
			cat "$work/cleanup.err" >&2
		}
	done
	rm -rf "$work"
	exit "$status"
}

# begin makes a working directory for the short-lived files and arranges for
# the cleanup on every way out.
begin() {
	work=$(mktemp -d)
	trap cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap 'exit 129' HUP
	umask 077
	cd "$work"
}

# find_cluster sets the address of the API server, which Vault must be able to
# reach under it, and writes ca.crt, unless the system's roots are in use.
find_cluster() {
	local config=(kubectl config view --raw --minify --flatten)
	if [[ -z ${KUBERNETES_HOST:-} ]]; then
		KUBERNETES_HOST=$("${config[@]}" -o 'jsonpath={.clusters[0].cluster.server}')
		"${config[@]}" -o 'jsonpath={.clusters[0].cluster.certificate-authority-data}' | base64 --decode >ca.crt
	elif [[ -n ${KUBERNETES_CA_FILE:-} ]]; then
		cp "$KUBERNETES_CA_FILE" ca.crt
	fi
	[[ -s ca.crt ]] || rm -f ca.crt
	if [[ -z $KUBERNETES_HOST ]]; then
		echo "The current kubectl context names no cluster." >&2
		exit 2
	fi
}

require_tools() {
	local tool
	for tool in vault kubectl; do
		command -v "$tool" >/dev/null || {
			echo "$tool is not in PATH; \`make demo\` without MINE=1 brings its own." >&2
			exit 2
		}
	done
	vault token lookup >/dev/null || {
		echo "Vault at ${VAULT_ADDR:-the default address} does not take your token." >&2
		exit 2
	}
}

# register_plugin leaves the plugin as it is in a server that knows it.
register_plugin() {
	heading "The plugin, in Vault's catalog"
	local known
	known=$(vault plugin list auth | awk -v name="$plugin" '$1 == name')
	if [[ -n $known ]]; then
		echo "$known (registered before)"
	elif [[ -n ${PLUGIN_SHA256:-} ]]; then
		local version=${PLUGIN_VERSION:+-version=$PLUGIN_VERSION}
		run vault plugin register -sha256="$PLUGIN_SHA256" ${version:+"$version"} auth "$plugin"
		later vault plugin deregister ${version:+"$version"} auth "$plugin"
	else
		cat >&2 <<-EOF
			This Vault does not know the plugin. Put the binary $plugin into the server's plugin_directory,
			then register it: vault plugin register -sha256=<its SHA-256> -version=<what it prints with -version> auth $plugin
			or set PLUGIN_SHA256 and PLUGIN_VERSION to these, and run this again.
		EOF
		exit 2
	fi
}

# create_accounts makes the service account that logs in, and the reviewer,
# which is what Vault asks the API server as.
create_accounts() {
	heading "A namespace with a service account that will log in"
	run kubectl create namespace "$id"
	later kubectl delete namespace "$id" --wait=false
	run kubectl create serviceaccount app -n "$id"

	heading "A reviewer, as which Vault asks the API server about tokens"
	run kubectl create serviceaccount vault-reviewer -n "$id"
	run kubectl create clusterrolebinding "$id-reviewer" --clusterrole=system:auth-delegator \
		--serviceaccount="$id:vault-reviewer"
	later kubectl delete clusterrolebinding "$id-reviewer"
	run_to reviewer.jwt kubectl create token vault-reviewer -n "$id" --duration=24h
}

create_secret() {
	heading "A secret, and a policy that lets one read it"
	run vault secrets enable -path="$id" kv-v2
	later vault secrets disable "$id"
	run vault kv put -mount="$id" app greeting="hello from Vault"
	cat >policy.hcl <<-EOF
		path "$id/data/app" {
		  capabilities = ["read"]
		}
	EOF
	run cat policy.hcl
	run vault policy write "$id" policy.hcl
	later vault policy delete "$id"
}

create_mount() {
	heading "The auth method, at a path of its own"
	if vault auth list | grep -q "^$mount/"; then
		mount=clusters/$id # another demo is running
	fi
	run vault auth enable -path="$mount" -plugin-name="$plugin" plugin
	later vault auth disable "$mount"
	local ca=()
	[[ -f ca.crt ]] && ca=(kubernetes_ca_cert=@ca.crt)
	run vault write "auth/$mount/config" kubernetes_host="$KUBERNETES_HOST" ${ca[@]+"${ca[@]}"} \
		token_reviewer_jwt=@reviewer.jwt disable_local_ca_jwt=true binding_rule_audiences=vault
	run vault write "auth/$mount/role/demo" bound_service_account_names=app \
		bound_service_account_namespaces="$id" audience=vault token_policies="$id" token_ttl=10m
}

# create_rules lets logins without a role be seen: one rule that matches the service
# account, one that does not.
create_rules() {
	heading "Binding rules, for logins that name no role"
	run vault write "auth/$mount/binding-rule/namespaces" description="the demo's namespace has a policy of its name" \
		selector="serviceaccount.namespace == \"$id\"" bind_type=policy bind_name='${serviceaccount.namespace}'
	run vault write "auth/$mount/binding-rule/runners" description="pods of the CI runners" \
		selector="serviceaccount.namespace == \"$id\" and serviceaccount.name == \"runner\"" bind_type=policy bind_name=ci
}

# create_consul_tokens has the mount make tokens in the bed's Consul. The token that
# administers it goes into a file, and out of the environment: the consul command would
# send it with a login.
create_consul_tokens() {
	heading "A Consul, and a rule for who gets what of its tokens"
	printf '%s' "$CONSUL_HTTP_TOKEN" >own.consul
	unset CONSUL_HTTP_TOKEN
	run vault write "auth/$mount/consul/config" address="$CONSUL_HTTP_ADDR" token=@own.consul
	run vault write "auth/$mount/binding-rule/services" description="each service account is the service of its name" \
		selector="serviceaccount.namespace == \"$id\"" bind_type=consul-service bind_name='${serviceaccount.name}'
	run vault auth tune -passthrough-request-headers=X-Consul-Token "$mount/"
}

# print_page says where the web page is, if there is one.
print_page() {
	[[ -n ${WEB_URL:-} ]] || return 0
	heading "The web page: $WEB_URL"
	printf 'Vault token: %s\n' "$VAULT_TOKEN"
}

# until_interrupted waits for Ctrl-C or SIGTERM, which it takes as a good end, or
# for the end of what started this, which may be killed without passing it on.
until_interrupted() {
	trap 'heading "Stopping"; exit 0' INT TERM HUP
	mkfifo nothing
	exec 3<>nothing
	# Reading what never comes leaves no process behind, as sleep would.
	while kill -0 "$PPID" 2>/dev/null; do
		read -r -t 5 -u 3 || true
	done
}

set_up() {
	begin
	require_tools
	find_cluster
	register_plugin
	create_accounts
	create_secret
	create_mount
	create_rules
}
