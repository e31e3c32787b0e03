// Package consul reads what Consul prints of a Kubernetes auth method and its
// binding rules, and says what becomes of them here. It decides nothing about
// logins and does no I/O.
package consul

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// ServiceNameAnnotation is the annotation of a service account with which Consul
// lets it take another service name. Consul's method always honors it.
const ServiceNameAnnotation = "consul.hashicorp.com/service-name"

// NamePrefix begins the names of rules that were taken over; their IDs follow.
const NamePrefix = "consul-"

// Config is what carries over of the auth method's configuration.
type Config struct {
	Host               string
	CACert             string
	ReviewerJWT        string
	MapNamespaces      bool
	NamespacePrefix    string
	NamespaceOverrides map[string]string
}

// Rule is a binding rule that carries over. Its parts are as Consul has them and
// still to be checked by whoever writes them.
type Rule struct {
	Name        string
	Description string
	Selector    string
	BindType    string
	BindName    string
	// BindVarName is the variable of a templated policy.
	BindVarName string
}

// Tokens are what the rules are to give.
type Tokens string

// What rules can give here: Consul's tokens, as they did, or Vault's.
const (
	ConsulTokens Tokens = "consul"
	VaultTokens  Tokens = "vault"
)

// Import is what the two documents come to.
type Import struct {
	// Method is the name of the auth method.
	Method string
	// MaxTokenTTL is how long a token lives at most; 0 if the method does not say.
	MaxTokenTTL time.Duration
	Config      Config
	Rules       []Rule
	// Listed are the names of all rules of the auth method, in order, those included
	// that do not carry over.
	Listed []string
	// Refused are the rules of the auth method that do not carry over, a line each,
	// with the reason.
	Refused []string
	// Settings are those of consul/config by which tokens are as they were; none for Vault's.
	Settings []string
	// Left is what else does not carry over, a line each, with the reason.
	Left []string

	tokens Tokens
}

// method is the output of consul acl auth-method read -format=json.
type method struct {
	Name           string
	Type           string
	MaxTokenTTL    json.RawMessage
	TokenLocality  string
	Namespace      string
	Partition      string
	Config         map[string]json.RawMessage
	NamespaceRules []json.RawMessage
}

// rule is an element of consul acl binding-rule list -format=json.
type rule struct {
	ID          string
	Description string
	AuthMethod  string
	Selector    string
	BindType    string
	BindName    string
	BindVars    json.RawMessage
	Namespace   string
	Partition   string
}

// Read takes the two documents, of which the rules are to give tokens of a kind. The errors
// say which of them is wrong and how.
func Read(authMethod, bindingRules []byte, tokens Tokens) (*Import, error) {
	var m method
	if other := otherType(authMethod); other != "" {
		return nil, fmt.Errorf("auth_method: its type is %.64q, only kubernetes can be imported", other)
	}
	if err := decode(authMethod, &m, func() error { return methodKeys.check(authMethod) }); err != nil {
		return nil, fmt.Errorf("auth_method: %w%s", err, meantBy("auth_method", authMethod, printsMethod, ""))
	}
	if m.Type != "kubernetes" {
		return nil, fmt.Errorf("auth_method: its type is %q, only kubernetes can be imported", m.Type)
	}
	var rules []rule
	if err := decode(bindingRules, &rules, func() error { return checkRules(bindingRules) }); err != nil {
		return nil, fmt.Errorf("binding_rules: %w%s", err, meantBy("binding_rules", bindingRules, printsRules, m.Name))
	}
	i := &Import{Method: m.Name, tokens: tokens}
	if err := i.readMethod(&m); err != nil {
		return nil, fmt.Errorf("auth_method: %w", err)
	}
	seen := make(map[string]bool, len(rules))
	for _, r := range rules {
		if err := i.readRule(&m, r, seen); err != nil {
			return nil, fmt.Errorf("binding_rules: %w", err)
		}
	}
	return i, nil
}

// otherType is the type of an auth method that is not for Kubernetes, which has other keys; ""
// where it is, or where there is none.
func otherType(authMethod []byte) string {
	var has struct{ Type string }
	if json.Unmarshal(authMethod, &has) != nil || has.Type == "kubernetes" {
		return ""
	}
	return has.Type
}

// ForVault tells whether the rules are to give tokens of Vault.
func (i *Import) ForVault() bool { return i.tokens == VaultTokens }

func (i *Import) left(format string, args ...any) {
	i.Left = append(i.Left, fmt.Sprintf(format, args...))
}

func (i *Import) refused(format string, args ...any) {
	i.Refused = append(i.Refused, fmt.Sprintf(format, args...))
}

func (i *Import) readMethod(m *method) error {
	known := map[string]any{
		"host":                     &i.Config.Host,
		"cacert":                   &i.Config.CACert,
		"serviceaccountjwt":        &i.Config.ReviewerJWT,
		"mapnamespaces":            &i.Config.MapNamespaces,
		"consulnamespaceprefix":    &i.Config.NamespacePrefix,
		"consulnamespaceoverrides": &i.Config.NamespaceOverrides,
	}
	for _, key := range slices.Sorted(maps.Keys(m.Config)) {
		// Consul reads these keys whatever their case, and others were refused.
		if err := json.Unmarshal(m.Config[key], known[strings.ToLower(key)]); err != nil {
			return fmt.Errorf("the setting %s is not of the type that consul prints", key) // the value may be a credential
		}
	}
	if i.tokens == ConsulTokens {
		i.settings(m)
		return nil
	}
	if set(m.MaxTokenTTL) {
		text := strings.Trim(string(m.MaxTokenTTL), `"`)
		ttl, err := time.ParseDuration(text)
		if err != nil || ttl < time.Second {
			return fmt.Errorf("MaxTokenTTL is %.32q, and no duration that consul prints", text)
		}
		i.MaxTokenTTL = ttl
		i.left("auth method, MaxTokenTTL %s, for logins that do not name it: Vault's mount has one for all, see vault auth tune -max-lease-ttl", text)
	}
	if m.TokenLocality != "" && m.TokenLocality != "local" {
		i.left("auth method, TokenLocality %s: Vault replicates mounts that were not enabled with -local", m.TokenLocality)
	}
	if len(m.NamespaceRules) > 0 {
		i.left("auth method, NamespaceRules: Vault tokens stay in the namespace of their mount; use one mount for each namespace")
	}
	i.place("auth method", m.Namespace, m.Partition)
	return nil
}

func (i *Import) readRule(m *method, r rule, seen map[string]bool) error {
	if r.ID == "" {
		return errors.New("a rule has no ID")
	}
	what, name := "binding rule "+r.ID, NamePrefix+strings.ToLower(r.ID)
	if r.AuthMethod != m.Name {
		i.left("%s: it belongs to the auth method %q", what, r.AuthMethod)
		return nil
	}
	twice := seen[name]
	seen[name] = true
	i.Listed = append(i.Listed, name)
	bindType, variable, reason := i.bindType(r)
	if twice {
		reason = "the ID is there twice"
	}
	if reason != "" {
		i.refused("%s: %s", what, reason)
		return nil
	}
	if i.tokens != ConsulTokens {
		i.place(what, r.Namespace, r.Partition)
	}
	i.Rules = append(i.Rules, Rule{
		Name:        name,
		Description: r.Description,
		Selector:    r.Selector,
		BindType:    bindType,
		BindName:    r.BindName,
		BindVarName: variable,
	})
	return nil
}

// place notes a namespace or partition of Consul Enterprise, which nothing here
// corresponds to.
func (i *Import) place(what, namespace, partition string) {
	if namespace != "" && namespace != "default" {
		i.left("%s, Namespace %s: Consul's namespaces have no counterpart here", what, namespace)
	}
	if partition != "" && partition != "default" {
		i.left("%s, Partition %s: Consul's partitions have no counterpart here", what, partition)
	}
}

// set tells whether an optional value is there and means something.
func set(value json.RawMessage) bool {
	switch string(value) {
	case "", "null", `""`, "0", `"0s"`, "{}":
		return false
	}
	return true
}
