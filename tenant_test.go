package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// tenancy is a cluster of two tenants: ci, for whom rules are written, and evil, who
// has the stock ClusterRole edit in its own namespace and does with it what it can to
// look like the other.
type tenancy struct {
	*mount
	own    string            // a token of the account that rules are meant for
	others map[string]string // tokens of the tenant, by what it tried
}

func newTenancy(t *testing.T) *tenancy {
	m := newRules(t, fields{
		"cluster_name": "east", "map_namespaces": true, "consul_namespace_prefix": "k8s-",
		"service_name_annotation": "consul.hashicorp.com/service-name",
		"binding_rule_audiences":  "vault,vault-admin",
	})
	m.api.AddNamespace("ci", map[string]string{"team": "ci"})
	m.api.AddNamespace("evil", map[string]string{"team": "evil"})
	dress := func(namespace, name string) {
		m.api.AddServiceAccount(namespace, name)
		m.api.Label(namespace, name, map[string]string{"team": "ci", "tier": "web"})
		m.api.Annotate(namespace, name, map[string]string{"team": "ci", "consul.hashicorp.com/service-name": "web"})
		m.api.AddPod(namespace, "runner-1-"+name, "gpu-1")
	}
	dress("ci", "web")
	dress("evil", "web")
	dress("evil", "other")
	both := kubetest.Audience("vault", "vault-admin")
	token := func(namespace, name string) string {
		return m.api.Token(namespace, name, both, m.api.BoundToPod("runner-1-"+name))
	}
	return &tenancy{mount: m, own: token("ci", "web"), others: map[string]string{
		"an account of the same name, in a pod of such a name on the node": token("evil", "web"),
		"an account of another name with the annotation":                   token("evil", "other"),
		"a token that is bound to the node alone":                          m.api.Token("evil", "web", both, m.api.BoundToNode("gpu-1")),
	}}
}

// granted are the policies that a login by rules has; none where it is refused.
func (y *tenancy) granted(token string) []string {
	y.t.Helper()
	auth := y.loginByRules(token).auth
	if auth == nil {
		return nil
	}
	return auth.Policies
}

// Rules as people write them, and as docs/security-model.md has them.
func TestATenantAgainstRules(t *testing.T) {
	for _, row := range []struct {
		name, selector, bindName string
		annotation               bool // use_service_name_annotation
		open                     bool // the tenant matches it, too
	}{
		{name: "a name", selector: `serviceaccount.name == "web"`, open: true},
		{name: "a name by pattern", selector: `serviceaccount.name matches "^w"`, open: true},
		{name: "a name that an annotation gives", selector: `serviceaccount.name == "web"`, annotation: true, open: true},
		{name: "a pod", selector: `pod.name matches "^runner-"`, open: true},
		{name: "a node", selector: `node.name == "gpu-1"`, open: true},
		{name: "an audience", selector: `"vault-admin" in audiences`, open: true},
		{name: "a label", selector: `serviceaccount.labels.team == "ci"`, open: true},
		{name: "an annotation", selector: `serviceaccount.annotations.team == "ci"`, open: true},
		{name: "what is not there", selector: `serviceaccount.namespace != "kube-system"`, open: true},
		{name: "a template of an annotation", bindName: "${serviceaccount.annotations.team}", open: true},
		{name: "a template of the name", bindName: "ci-${serviceaccount.name}", selector: `serviceaccount.name == "web"`, open: true},
		{name: "either", selector: `serviceaccount.namespace == "ci" or pod.name matches "^runner-"`, open: true},

		{name: "the namespace", selector: `serviceaccount.namespace == "ci"`},
		{name: "the namespace and a name", selector: `serviceaccount.namespace == "ci" and serviceaccount.name == "web"`},
		{name: "the namespace and an annotated name", selector: `serviceaccount.namespace == "ci" and serviceaccount.name == "web"`, annotation: true},
		{name: "the namespace and a pod", selector: `serviceaccount.namespace == "ci" and pod.name matches "^runner-"`},
		{name: "the namespace and a node", selector: `serviceaccount.namespace == "ci" and node.name == "gpu-1"`},
		{name: "the namespace and an audience", selector: `serviceaccount.namespace == "ci" and "vault-admin" in audiences`},
		{name: "the namespace's label and a label", selector: `namespace.labels.team == "ci" and serviceaccount.labels.tier == "web"`},
		{name: "the mapped namespace", selector: `consul.namespace == "k8s-ci"`},
		{name: "a template of the namespace", bindName: "ns-${serviceaccount.namespace}"},
		{name: "a template of the namespace's label", bindName: "team-${namespace.labels.team}"},
		{name: "a template of namespace and name", bindName: "ns-${serviceaccount.namespace}_${serviceaccount.name}"},
	} {
		t.Run(row.name, func(t *testing.T) {
			y := newTenancy(t)
			if row.bindName == "" {
				row.bindName = "granted"
			}
			y.rule("r", row.selector, "policy", row.bindName)
			y.write("binding-rule/r", fields{"use_service_name_annotation": row.annotation})
			own := y.granted(y.own)
			if len(own) != 1 {
				t.Fatalf("the account that it is meant for has %q", own)
			}
			matched := []string{}
			for try, token := range y.others {
				if slices.Contains(y.granted(token), own[0]) {
					matched = append(matched, try)
				}
			}
			if (len(matched) > 0) != row.open {
				t.Errorf("the tenant has %s by %q, want %t", own[0], matched, row.open)
			}
		})
	}
}

// attributeRow is a row of the table of docs/security-model.md: attribute, and what the
// tenant can have.
var attributeRow = regexp.MustCompile("(?m)^\\| `([a-z.]+)` \\| .* \\| ([^|]*) \\|$")

// The table names each attribute there is, and what it says of the tenant is so.
func TestAttributesAreInTheSecurityModel(t *testing.T) {
	text, err := os.ReadFile("docs/security-model.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Who chooses an attribute\n")
	said, order := map[string]string{}, []string{}
	for _, match := range attributeRow.FindAllStringSubmatch(section, -1) {
		said[match[1]] = match[2]
		order = append(order, match[1])
	}
	if !slices.Equal(order, binding.AttributeNames()) {
		t.Errorf("the table has %q, the attributes are %q", order, binding.AttributeNames())
	}
	y := newTenancy(t)
	y.rule("base", "", "policy", "base")
	known := partsOf(y.explained(fields{"jwt": y.own}), "attributes")
	for i, name := range binding.AttributeNames() {
		// That the tenant has the value of the account that rules are meant for.
		selector := fmt.Sprintf("%s == %q", name, known[name])
		switch name {
		case "audiences":
			selector = `"vault-admin" in audiences`
		case "cluster.name":
			selector = `cluster.name == "west"` // that of the mount has everybody
		case "namespace.labels", "serviceaccount.annotations", "serviceaccount.labels":
			selector = name + `.team == "ci"`
		}
		y.rule(fmt.Sprintf("r%d", i), selector, "policy", policyOf(name))
	}
	for _, name := range binding.AttributeNames() {
		if own := slices.Contains(y.granted(y.own), policyOf(name)); own != (name != "cluster.name") {
			t.Errorf("%s: the account itself has its value: %t", name, own)
		}
		has := slices.ContainsFunc(slices.Collect(maps.Values(y.others)), func(token string) bool { return slices.Contains(y.granted(token), policyOf(name)) })
		if says := strings.HasPrefix(said[name], "yes"); has != says {
			t.Errorf("%s: the tenant has the value: %t, the table says %q", name, has, said[name])
		}
	}
	for _, name := range []string{"node.name", "node.uid"} {
		if slices.Contains(y.granted(y.others["a token that is bound to the node alone"]), policyOf(name)) {
			t.Errorf("%s: a token that is bound to the node alone has it", name)
		}
	}
}

// policyOf is the policy for an attribute; the attribute's own name as that of a policy
// would be a mistake.
func policyOf(attribute string) string { return strings.ReplaceAll(attribute, ".", "_") }
