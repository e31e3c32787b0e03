package consul

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// settings are those of consul/config by which tokens are as the method's were.
func (i *Import) settings(m *method) {
	i.Settings = append(i.Settings, "auth_method="+m.Name)
	if set(m.MaxTokenTTL) {
		i.Settings = append(i.Settings, "max_token_ttl="+strings.Trim(string(m.MaxTokenTTL), `"`))
	} else {
		i.left("auth method, MaxTokenTTL: it has none, so that tokens never end; here they last for max_token_ttl of consul/config, by default an hour")
	}
	if m.TokenLocality != "" && m.TokenLocality != "local" {
		i.Settings = append(i.Settings, "token_locality="+m.TokenLocality)
	}
	for field, value := range map[string]string{"namespace": m.Namespace, "partition": m.Partition} {
		if value != "" && value != "default" {
			i.Settings = append(i.Settings, field+"="+value)
		}
	}
	if len(m.NamespaceRules) > 0 {
		i.left("auth method, NamespaceRules: write them as namespace_rules of consul/config, a list of objects with selector and bind_namespace, in their order")
	}
	slices.Sort(i.Settings)
}

// bindType is what a rule becomes, and its variable; or the reason why it becomes nothing.
func (i *Import) bindType(r rule) (bindType, variable, reason string) {
	switch templated := r.BindType == "templated-policy"; {
	case templated && i.tokens == ConsulTokens:
		variable, reason = variableOf(r.BindVars)
	case !slices.Contains([]string{"service", "node", "role", "policy"}, r.BindType):
		reason = fmt.Sprintf("there is no bind type %q here", r.BindType)
	case set(r.BindVars):
		reason = "BindVars go with templated policies"
	}
	if i.tokens == ConsulTokens {
		return "consul-" + r.BindType, variable, reason
	}
	return r.BindType, variable, reason
}

// variableOf is the one variable that Consul's templates have.
func variableOf(vars json.RawMessage) (name, reason string) {
	var has map[string]string
	if !set(vars) {
		return "", ""
	}
	if json.Unmarshal(vars, &has) != nil || len(has) != 1 || has["Name"] == "" {
		return "", "its BindVars have something else than Name"
	}
	return has["Name"], ""
}
