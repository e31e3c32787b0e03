# A cluster's mount, with the resources that the hashicorp/vault provider has for
# Vault's own kubernetes method. What this plugin has beyond that is written with
# vault_generic_endpoint.

resource "vault_plugin" "kubernetes" {
  type    = "auth"
  name    = "vault-plugin-auth-kubernetes"
  version = var.plugin_version
  command = var.plugin_command
  sha256  = var.plugin_sha256
}

resource "vault_auth_backend" "prod" {
  type        = vault_plugin.kubernetes.name
  path        = "clusters/terraform"
  description = "Service accounts of the production cluster"
}

resource "vault_kubernetes_auth_backend_config" "prod" {
  backend              = vault_auth_backend.prod.path
  kubernetes_host      = var.kubernetes_host
  kubernetes_ca_cert   = var.kubernetes_ca_cert
  token_reviewer_jwt   = var.token_reviewer_jwt
  disable_local_ca_jwt = true
  # Has to be said: the provider writes false where it is not, and this plugin then
  # does check the issuer.
  disable_iss_validation = true
}

# The token above is only a first one: the mount makes the reviewer's tokens by itself from then on
# (deploy/components/reviewer-token). What is in Terraform's state ends, and the next apply may
# write it again: it is known, and changes nothing. disable_read keeps a plan empty, since reading
# returns more fields than these.
resource "vault_generic_endpoint" "reviewer" {
  depends_on           = [vault_kubernetes_auth_backend_config.prod]
  path                 = "auth/${vault_auth_backend.prod.path}/config"
  ignore_absent_fields = true
  disable_read         = true
  disable_delete       = true # the configuration goes with its own resource
  data_json = jsonencode({
    kubernetes_host                = var.kubernetes_host
    kubernetes_ca_cert             = var.kubernetes_ca_cert
    token_reviewer_jwt             = var.token_reviewer_jwt
    disable_local_ca_jwt           = true
    token_reviewer_service_account = "vault-auth/reviewer"
  })
}

resource "vault_kubernetes_auth_backend_role" "web" {
  backend                          = vault_auth_backend.prod.path
  role_name                        = "web"
  bound_service_account_names      = ["web"]
  bound_service_account_namespaces = ["shop-*"]
  audience                         = "vault"
  token_policies                   = ["web"]
  token_ttl                        = 1200
}

# A field of the role that the provider does not know. A write of a role changes only
# the fields that it names, so the two resources do not get in each other's way.
resource "vault_generic_endpoint" "web_selector" {
  depends_on           = [vault_kubernetes_auth_backend_role.web]
  path                 = "auth/${vault_auth_backend.prod.path}/role/web"
  ignore_absent_fields = true
  disable_delete       = true # the role goes with its own resource
  data_json = jsonencode({
    selector = "namespace.labels.env == \"prod\""
  })
}

# Logins by rules take tokens for the API server's own audience. The provider does not
# know the setting for others:
# vault patch auth/clusters/prod/config binding_rule_audiences=vault
resource "vault_generic_endpoint" "namespace_policies" {
  depends_on           = [vault_kubernetes_auth_backend_config.prod]
  path                 = "auth/${vault_auth_backend.prod.path}/binding-rule/namespaces"
  ignore_absent_fields = true
  data_json = jsonencode({
    description = "each namespace has a policy named after it"
    selector    = "serviceaccount.namespace matches \"^shop-\""
    bind_type   = "policy"
    bind_name   = "ns-$${serviceaccount.namespace}"
  })
}
