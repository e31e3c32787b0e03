package consultoken

import (
	"encoding/json"
	"fmt"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/consulacl"
)

// description begins the description of each token, as Consul's own logins have it.
const description = "token created via login"

// Bounds of what a client may put into the description of its token.
const (
	maxMeta      = 64
	maxMetaBytes = 4 << 10
)

// CheckMeta refuses more than a description should have.
func CheckMeta(meta map[string]string) error {
	size := 0
	for key, value := range meta {
		size += len(key) + len(value)
	}
	if len(meta) > maxMeta || size > maxMetaBytes {
		return fmt.Errorf("meta has more than %d pairs, or more than %d bytes", maxMeta, maxMetaBytes)
	}
	return nil
}

// Description is that of a token that a client asked for with some pairs of its own.
func Description(meta map[string]string) string {
	if len(meta) == 0 {
		return description
	}
	text, err := json.Marshal(meta)
	if err != nil {
		panic(err) // strings always marshal
	}
	return description + ": " + string(text)
}

// privileges are what grants come to, of which roles and policies exist. Nodes are of a
// datacenter.
func privileges(g binding.ConsulGrants, datacenter string) consulacl.Privileges {
	var p consulacl.Privileges
	for _, name := range g.Services {
		p.ServiceIdentities = append(p.ServiceIdentities, consulacl.ServiceIdentity{ServiceName: name})
	}
	for _, name := range g.Nodes {
		p.NodeIdentities = append(p.NodeIdentities, consulacl.NodeIdentity{NodeName: name, Datacenter: datacenter})
	}
	for _, name := range g.Roles {
		p.Roles = append(p.Roles, consulacl.Link{Name: name})
	}
	for _, name := range g.Policies {
		p.Policies = append(p.Policies, consulacl.Link{Name: name})
	}
	for _, policy := range g.TemplatedPolicies {
		t := consulacl.TemplatedPolicy{TemplateName: policy.Template}
		if policy.Name != "" {
			t.TemplateVariables = &consulacl.TemplateVariables{Name: policy.Name}
		}
		p.TemplatedPolicies = append(p.TemplatedPolicies, t)
	}
	return p
}
