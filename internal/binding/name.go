package binding

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// BindType is what a binding rule grants.
type BindType string

// The bind types.
const (
	// BindPolicy grants a token policy.
	BindPolicy BindType = "policy"
	// BindRole grants a role of the mount.
	BindRole BindType = "role"
	// BindGroup grants an identity group alias.
	BindGroup BindType = "group"
	// BindService names a Consul service.
	BindService BindType = "service"
	// BindNode names a Consul node.
	BindNode BindType = "node"

	// BindConsulService gives a Consul token the identity of a service.
	BindConsulService BindType = "consul-service"
	// BindConsulNode gives a Consul token the identity of a node.
	BindConsulNode BindType = "consul-node"
	// BindConsulRole gives a Consul token a role of Consul's.
	BindConsulRole BindType = "consul-role"
	// BindConsulPolicy gives a Consul token a policy of Consul's.
	BindConsulPolicy BindType = "consul-policy"
	// BindConsulTemplatedPolicy gives a Consul token a policy that Consul has a template
	// of, such as builtin/service.
	BindConsulTemplatedPolicy BindType = "consul-templated-policy"
)

// BindTypes are those of what a Vault token gets, in the order in which errors list them.
var BindTypes = []BindType{BindPolicy, BindRole, BindGroup, BindService, BindNode}

// ConsulBindTypes are those of what a Consul token gets. Vault tokens get nothing by
// them, and Consul tokens nothing by the others.
var ConsulBindTypes = []BindType{BindConsulService, BindConsulNode, BindConsulRole, BindConsulPolicy, BindConsulTemplatedPolicy}

// ForConsul tells whether the bind type is one of what a Consul token gets.
func (t BindType) ForConsul() bool { return slices.Contains(ConsulBindTypes, t) }

// Bounds of names, in bytes. Services, nodes and roles have Consul's. Vault has
// none for policies and groups; ours keep tokens and metadata small.
const (
	maxServiceBytes = 256
	maxRoleBytes    = 256
	maxPolicyBytes  = 256
	maxGroupBytes   = 512
)

// reservedPolicies are those that Vault refuses to give to a token that an auth
// method issues. Vault would fail the login with an error of its own; here the
// rule that is to blame is named.
var reservedPolicies = []string{"root", "response-wrapping", "control-group"}

// ReservedPolicy is the first of the policies that Vault refuses to give to a token that an
// auth method issues, as Vault reads their names, or "" if none is. With root there is no
// other policy to Vault.
func ReservedPolicy(policies []string) string {
	for _, reserved := range reservedPolicies {
		if slices.ContainsFunc(policies, func(policy string) bool { return strings.EqualFold(strings.TrimSpace(policy), reserved) }) {
			return reserved
		}
	}
	return ""
}

// badName says what is wrong with a name.
type badName struct {
	// offset of the first byte that is wrong; -1 if the name as a whole is.
	offset int
	reason string
}

// checkName tells whether a name can be what the bind type grants. It returns nil
// if it can.
func checkName(bindType BindType, name string) *badName {
	switch bindType {
	case BindService, BindNode, BindConsulService, BindConsulNode:
		return checkServiceName(name)
	case BindConsulTemplatedPolicy:
		return checkTemplateName(name)
	case BindRole:
		return checkRoleName(name)
	case BindConsulRole, BindConsulPolicy:
		return checkChars(name, maxRoleBytes, isConsulChar, "letters, digits, - and _")
	case BindPolicy:
		return checkPolicyName(name)
	default:
		return checkChars(name, maxGroupBytes, unicode.IsPrint, "printable characters")
	}
}

// grantedName is the name that the grant has in the end. Vault lower-cases the
// names of policies, so two spellings are one policy. Names of roles keep their
// case, as in Consul; the mount looks them up in lower case.
func grantedName(bindType BindType, name string) string {
	if bindType == BindPolicy {
		return strings.ToLower(name)
	}
	return name
}

// checkServiceName is Consul's rule: [a-z0-9]([a-z0-9\-_]*[a-z0-9])?
func checkServiceName(name string) *badName {
	allowed := func(r rune) bool { return isServiceEdge(r) || r == '-' || r == '_' }
	if bad := checkChars(name, maxServiceBytes, allowed, "lower-case letters, digits, - and _"); bad != nil {
		return bad
	}
	for _, offset := range []int{0, len(name) - 1} {
		if !isServiceEdge(rune(name[offset])) {
			return &badName{offset, "the name begins and ends with a lower-case letter or a digit"}
		}
	}
	return nil
}

func isServiceEdge(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' }

// checkRoleName takes what Consul takes, so that its rules can be taken over, and what a
// role of Vault's is called, which has dots within.
func checkRoleName(name string) *badName {
	allowed := func(r rune) bool { return isConsulChar(r) || r == '.' }
	if bad := checkChars(name, maxRoleBytes, allowed, "letters, digits, -, _ and dots within"); bad != nil {
		return bad
	}
	if offset := strings.Index("."+name+".", ".."); offset >= 0 {
		return &badName{max(0, offset-1), "a role's name has single dots within, and none at its ends"}
	}
	return nil
}

func isConsulChar(r rune) bool {
	return isServiceEdge(r) || r >= 'A' && r <= 'Z' || r == '-' || r == '_'
}

// checkPolicyName accepts the names under which Vault can hold a policy. Vault
// trims and lower-cases a name and takes it from the end of a request path, which
// has no characters that do not print; its storage refuses "..", and a path that
// ends in a slash is a list. A comma separates policies wherever Vault takes
// several in one text.
func checkPolicyName(name string) *badName {
	allowed := func(r rune) bool { return unicode.IsPrint(r) && r != ',' }
	if bad := checkChars(name, maxPolicyBytes, allowed, "printable characters without commas"); bad != nil {
		return bad
	}
	if name != strings.TrimSpace(name) {
		return &badName{-1, "white space at the beginning or end, which Vault would cut off"}
	}
	if offset := strings.Index(name, ".."); offset >= 0 {
		return &badName{offset, `Vault cannot hold a policy with ".." in its name`}
	}
	if strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") {
		return &badName{-1, "Vault cannot hold a policy whose name begins or ends with a slash"}
	}
	if slices.Contains(reservedPolicies, strings.ToLower(name)) {
		return &badName{-1, fmt.Sprintf("Vault does not give the policy %q to a login", strings.ToLower(name))}
	}
	return nil
}

func checkChars(name string, maxBytes int, allowed func(rune) bool, what string) *badName {
	if name == "" {
		return &badName{-1, "the name is empty"}
	}
	for offset, r := range name {
		if r == utf8.RuneError || !allowed(r) {
			return &badName{offset, fmt.Sprintf("%q is not allowed; the name may have %s", r, what)}
		}
	}
	if len(name) > maxBytes {
		return &badName{-1, fmt.Sprintf("the name is %d bytes long, more than %d", len(name), maxBytes)}
	}
	return nil
}
