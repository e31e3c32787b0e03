variable "plugin_version" {
  description = "Version of the plugin, from the release's REGISTER.md."
  type        = string
}

variable "plugin_command" {
  description = "File name of the plugin in the plugin_directory of every Vault server."
  type        = string
}

variable "plugin_sha256" {
  description = "SHA-256 sum of that file, from the release's SHA256SUMS."
  type        = string
}

variable "kubernetes_host" {
  description = "URL of the API server, as Vault reaches it."
  type        = string
}

variable "kubernetes_ca_cert" {
  description = "Certificates of the authority that signed the API server's, PEM."
  type        = string
}

variable "token_reviewer_jwt" {
  description = "Token of the reviewer, see deploy/. Terraform keeps it in its state."
  type        = string
  sensitive   = true
}
