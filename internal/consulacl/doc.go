// Package consulacl asks one Consul for ACL tokens: it makes them, looks at them and
// takes them back, and knows which roles and policies there are. It says what Consul
// answered and decides nothing about who gets a token; it knows nothing of Vault or of
// Kubernetes.
//
// It speaks Consul's HTTP API itself, in a dozen requests. HashiCorp's own client takes
// what it is not told from the environment, and CONSUL_HTTP_TOKEN_FILE even in place of
// what it is told: the environment of a Vault that keeps its data in Consul is about
// another Consul.
//
// Nothing is left behind: a token is made under an accessor that was chosen before, with
// an end of its own, and one of which nobody knows whether it was made is taken back.
package consulacl
