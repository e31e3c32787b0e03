#!/usr/bin/env bash
# Fills a fresh bed for the browser test: a mount with roles and binding rules, one
# without a configuration, and tokens of service accounts in the working directory.
# The bed is thrown away, so nothing is undone.
set -euo pipefail

kubectl create namespace vault-auth
kubectl create serviceaccount reviewer -n vault-auth
kubectl create clusterrolebinding vault-reviewer \
	--clusterrole=system:auth-delegator --serviceaccount=vault-auth:reviewer
kubectl create clusterrole vault-lookups --verb=get --resource=serviceaccounts,namespaces
kubectl create clusterrolebinding vault-lookups \
	--clusterrole=vault-lookups --serviceaccount=vault-auth:reviewer
kubectl create token reviewer -n vault-auth --duration=48h >reviewer.jwt

kubectl create namespace shop
kubectl label namespace shop team=storefront
kubectl create serviceaccount web -n shop
kubectl create namespace lab
kubectl create serviceaccount visitor -n lab
kubectl create token web -n shop --audience=vault >web.jwt
kubectl create token visitor -n lab --audience=vault >visitor.jwt

vault auth enable -path=clusters/prod "$PLUGIN_NAME"
vault write auth/clusters/prod/config kubernetes_host="$KUBERNETES_HOST" kubernetes_ca_cert=@"$KUBERNETES_CA_FILE" \
	token_reviewer_jwt=@reviewer.jwt disable_local_ca_jwt=true cluster_name=prod binding_rule_audiences=vault
vault write auth/clusters/prod/role/web bound_service_account_names=web bound_service_account_namespaces=shop \
	audience=vault token_policies=web token_ttl=20m
# Names are lists of any strings, so markup is a name that nobody has.
vault write auth/clusters/prod/role/oddly-named \
	bound_service_account_names='<img src=x onerror="document.title=1">' \
	bound_service_account_namespaces=shop audience=vault token_policies=web
vault write auth/clusters/prod/binding-rule/namespaces \
	description='each namespace has a policy named after it <img src=x onerror="document.title=2">' \
	selector='*' bind_type=policy bind_name='ns-${serviceaccount.namespace}'
vault write auth/clusters/prod/binding-rule/storefront \
	description="what the storefront team may read" \
	selector='namespace.labels.team == "storefront"' bind_type=policy bind_name=storefront
vault write auth/clusters/prod/binding-rule/runners \
	selector='pod.name matches "^runner-"' bind_type=policy bind_name=ci

# Listed, and not to be confused with the first: it has no configuration yet.
vault auth enable -path=clusters/staging "$PLUGIN_NAME"
# Vault's own method is another plugin, and not for the page.
vault auth enable kubernetes

# The token that docs/web.md has an operator use, with its policy.
bash -euc "$(sed -n '/^vault policy write login-page/,/^EOF$/p' "$ROOT/docs/web.md")"
vault token create -policy=login-page -no-default-policy -field=token >page-vault.jwt

# An operator's token that may see roles and nothing else.
echo 'path "auth/clusters/prod/role*" { capabilities = ["read", "list"] }' | vault policy write sees-roles -
vault token create -policy=sees-roles -no-default-policy -field=token >weak-vault.jwt
