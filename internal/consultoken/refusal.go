package consultoken

import (
	"errors"

	"vault-plugin-auth-kubernetes/internal/consulacl"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

// remedies say what an operator can do about a failure.
var remedies = map[consulacl.Failure]string{
	consulacl.Unreachable: "see whether Consul runs at the address of consul/config, and can be reached from Vault",
	consulacl.Timeout:     "see whether Consul answers, and whether a firewall stands before it",
	consulacl.TLS:         "give ca_cert of consul/config the certificate that signed Consul's, or tls_server_name its name",
	consulacl.Overloaded:  "Consul limits requests; see limits and its load",
	consulacl.ServerError: "see Consul's log, and whether it has a leader",
	consulacl.Malformed:   "see what answers at the address of consul/config; it is no Consul",
	consulacl.Unknown:     "Consul does not know the plugin's own token; write consul/config with another one",
	consulacl.Denied:      `the plugin's own token needs acl = "write"; give it a policy that has that`,
	consulacl.Disabled:    "switch the ACLs of Consul on",
	consulacl.NotFound:    "see what answers at the address of consul/config",
	consulacl.Refused:     "Consul does not take the token; a bind type, a namespace or max_token_ttl may need a later version, or Enterprise",
}

// Refusal is how a login ends by an error of a Mint. That nobody could be asked, or that
// the plugin itself was not let in, is no denial of whoever logs in.
func Refusal(err error) error {
	failure := consulacl.FailureOf(err)
	switch {
	case errors.Is(err, ErrNothing):
		return refusal.DenyFor(err)
	case failure == "":
		return err
	}
	return &refusal.Refusal{
		Kind: refusal.CouldNotAsk, Class: string(failure), Err: err,
		Operator: failure != consulacl.Canceled, Remedy: remedies[failure],
	}
}

// Remedy is what an operator can do about a failure, in words.
func Remedy(failure consulacl.Failure) string { return remedies[failure] }
