package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/vault/sdk/helper/tokenutil"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/metadata"
	"vault-plugin-auth-kubernetes/internal/role"
)

// rule writes a binding rule; without a selector it is for everybody.
func (m *mount) rule(name, selector, bindType, bindName string) {
	m.t.Helper()
	m.write("binding-rule/"+name, fields{"selector": cmp.Or(selector, "*"), "bind_type": bindType, "bind_name": bindName})
}

// overridingRule is rule for one in which the service-name annotation counts.
func (m *mount) overridingRule(name, selector, bindType, bindName string) {
	m.t.Helper()
	m.rule(name, selector, bindType, bindName)
	m.write("binding-rule/"+name, fields{"use_service_name_annotation": true})
}

// loginByRules logs in without a role.
func (m *mount) loginByRules(jwt string) outcome {
	m.t.Helper()
	return m.do(logical.UpdateOperation, "login", fields{"jwt": jwt})
}

// mustLoginByRules has to succeed.
func (m *mount) mustLoginByRules(jwt string) *logical.Auth {
	m.t.Helper()
	o := m.loginByRules(jwt)
	if o.status != http.StatusOK || o.auth == nil {
		m.t.Fatalf("login: %d %s; logged: %v", o.status, o.message, m.logs.Take())
	}
	return o.auth
}

// newRules is a mount with a configuration, and changes to it, and no role.
func newRules(t *testing.T, config fields) *mount {
	t.Helper()
	m := newMount(t)
	m.write("config", m.config(config))
	return m
}

func TestLoginByRules(t *testing.T) {
	m := newRules(t, fields{"cluster_name": "east"})
	m.rule("everybody", "", "policy", "base")
	m.rule("by-name", `serviceaccount.name == "web"`, "policy", "${serviceaccount.namespace}-${serviceaccount.name}")
	m.rule("others", `serviceaccount.name == "db"`, "policy", "db")
	m.rule("group", "", "group", "team")
	m.rule("service", "", "service", "${serviceaccount.name}")
	m.rule("service-too", "", "service", "another")
	m.rule("node", "", "node", "n1")

	auth := m.mustLoginByRules(m.token())

	defer wantAgreement(t, m, fields{"jwt": m.token()})
	if want := []string{"apps-web", "base"}; !slices.Equal(auth.Policies, want) {
		t.Errorf("policies %q, want %q", auth.Policies, want)
	}
	if len(auth.GroupAliases) != 1 || auth.GroupAliases[0].Name != "team" {
		t.Errorf("group aliases %v", auth.GroupAliases)
	}
	if !strings.HasPrefix(auth.Alias.Name, auth.Metadata[metadata.UID]+":rules:") {
		t.Errorf("the alias is named %q, want the uid and what the entity bears", auth.Alias.Name)
	}
	for _, told := range []map[string]string{auth.Metadata, auth.Alias.Metadata} {
		for key, want := range map[string]string{
			metadata.ConsulService: "another,web", metadata.ConsulNode: "n1", metadata.Cluster: "east",
			metadata.Name: "web", metadata.Namespace: "apps",
		} {
			if told[key] != want {
				t.Errorf("%s is %q, want %q", key, told[key], want)
			}
		}
	}
	if got, want := auth.Metadata[metadata.Rules], "by-name,everybody,group,node,service,service-too"; got != want {
		t.Errorf("binding_rules is %q, want %q", got, want)
	}
	if _, ok := auth.Metadata[metadata.Role]; ok {
		t.Error("there is a role in the metadata of a login without one")
	}
	if got := m.api.Count(kubetest.TokenReviews); got != 1 || len(m.api.Requests()) != 1 {
		t.Errorf("%d reviews of %d requests, want one of one", got, len(m.api.Requests()))
	}
}

func TestLoginByRulesRefusals(t *testing.T) {
	for name, row := range map[string]struct {
		config  fields
		rules   [][3]string // selector, bind type, bind name
		prepare func(m *mount)
		status  int
		level   string // of what is logged
	}{
		"no rule at all":         {status: http.StatusBadRequest, level: "debug"},
		"no rule that matches":   {rules: [][3]string{{`serviceaccount.name == "db"`, "policy", "p"}}, status: http.StatusForbidden, level: "debug"},
		"only a role not there":  {rules: [][3]string{{"", "role", "missing"}}, status: http.StatusForbidden, level: "debug"},
		"a name that is invalid": {rules: [][3]string{{"", "policy", "p"}, {"", "service", "${cluster.name}"}}, config: fields{"cluster_name": "UP"}, status: http.StatusForbidden, level: "warn"},
		"look-up not allowed": {
			rules:   [][3]string{{`namespace.labels.team == "ci"`, "policy", "p"}},
			prepare: func(m *mount) { m.api.Revoke("kube-system", "reviewer", kubetest.Namespaces) },
			status:  http.StatusForbidden, level: "warn",
		},
		"look-up fails": {
			rules:   [][3]string{{`namespace.labels.team == "ci"`, "policy", "p"}},
			prepare: func(m *mount) { m.api.Fail(kubetest.Status(http.StatusInternalServerError), kubetest.Namespaces) },
			status:  http.StatusServiceUnavailable, level: "warn",
		},
		"audience of somebody else": {
			config: fields{"binding_rule_audiences": "sts.amazonaws.com"},
			rules:  [][3]string{{"", "policy", "p"}},
			status: http.StatusForbidden, level: "debug",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newRules(t, row.config)
			for i, rule := range row.rules {
				m.rule(fmt.Sprint("r", i), rule[0], rule[1], rule[2])
			}
			if row.prepare != nil {
				row.prepare(m)
			}
			m.logs.Take()
			wantRefused(t, m.loginByRules(m.token()), row.status)
			logged := fmt.Sprint(m.logs.Take())
			if !strings.Contains(logged, "["+row.level+"]") {
				t.Errorf("want a line at level %s, logged: %s", row.level, logged)
			}
			wantAgreement(t, m, fields{"jwt": m.token()})
		})
	}
}

// A role that rules bind has to hold by itself.
func TestRolesOfRules(t *testing.T) {
	m := newRules(t, nil)
	role := func(name string, changes fields) {
		m.write("role/"+name, merge(fields{
			"bound_service_account_names": "web", "bound_service_account_namespaces": "apps", "token_policies": name,
		}, changes))
		m.rule(name, "", "role", name)
	}
	role("plain", nil)
	role("Upper", nil)
	role("wrong-name", fields{"bound_service_account_names": "db"})
	role("wrong-namespace", fields{"bound_service_account_namespaces": "kube-system"})
	role("wrong-audience", fields{"audience": "somebody-else"})
	role("right-audience", fields{"audience": "vault"})
	role("wrong-address", fields{"token_bound_cidrs": "198.51.100.0/24"})
	role("right-address", fields{"token_bound_cidrs": "192.0.2.0/24"})
	role("wrong-selector", fields{"selector": `pod.name is not empty`})

	auth := m.mustLoginByRules(m.token())

	if want := []string{"Upper", "plain", "right-address", "right-audience"}; !slices.Equal(auth.Policies, want) {
		t.Errorf("policies %q, want %q", auth.Policies, want)
	}
	if len(auth.BoundCIDRs) != 1 || auth.BoundCIDRs[0].String() != "192.0.2.0/24" {
		t.Errorf("bound to %v", auth.BoundCIDRs)
	}
	wantAgreement(t, m, fields{"jwt": m.token()})
}

// Labels are asked for only if they matter, and once.
func TestRulesLookUpOnlyWhatMatters(t *testing.T) {
	m := newRules(t, nil)
	m.api.AddNamespace("apps", map[string]string{"team": "ci"})
	m.rule("elsewhere", `serviceaccount.namespace == "other" and namespace.labels.team == "ci"`, "policy", "other")
	m.rule("base", "", "policy", "base")
	m.mustLoginByRules(m.token())
	if got := m.api.Count(kubetest.Namespaces); got != 0 {
		t.Errorf("%d namespaces were asked for, which could make no difference", got)
	}
	m.rule("here", `namespace.labels.team == "ci"`, "policy", "ci-${namespace.labels.team}")
	m.rule("here-too", `"team" in namespace.labels`, "policy", "labeled")
	auth := m.mustLoginByRules(m.token())
	if want := []string{"base", "ci-ci", "labeled"}; !slices.Equal(auth.Policies, want) {
		t.Errorf("policies %q, want %q", auth.Policies, want)
	}
	if got := m.api.Count(kubetest.Namespaces); got != 1 {
		t.Errorf("the namespace was asked for %d times, want once", got)
	}
}

// Whoever may annotate must not become someone else.
func TestServiceNameAnnotationIsForRulesOnly(t *testing.T) {
	m := newRules(t, fields{"service_name_annotation": "consul.hashicorp.com/service-name", "use_annotations_as_alias_metadata": true})
	m.write("role/own", fields{"bound_service_account_names": "web", "bound_service_account_namespaces": "apps", "token_policies": "own"})
	m.write("role/other", fields{
		"bound_service_account_names": "*", "bound_service_account_namespaces": "apps", "token_policies": "stolen",
		"selector": `serviceaccount.name == "db"`,
	})
	m.overridingRule("name", "", "policy", "p-${serviceaccount.name}")
	m.overridingRule("role", `serviceaccount.name == "db"`, "role", "other")
	m.rule("own-name", "", "policy", "own-${serviceaccount.name}")
	m.rule("of-another", `serviceaccount.name == "db"`, "policy", "of-another")
	m.api.Annotate("apps", "web", map[string]string{"consul.hashicorp.com/service-name": "db"})

	auth := m.mustLoginByRules(m.token())
	if want := []string{"own-web", "p-db"}; !slices.Equal(auth.Policies, want) {
		t.Errorf("policies %q, want %q", auth.Policies, want)
	}
	if auth.Metadata[metadata.Name] != "web" || auth.Alias.Metadata[metadata.Name] != "web" || auth.DisplayName != "apps-web" {
		t.Errorf("the annotation changed who it is: %v, %v, %s", auth.Metadata, auth.Alias.Metadata, auth.DisplayName)
	}
	wantRefused(t, m.login("other", m.token()), http.StatusForbidden)
	if got := m.login("own", m.token()).auth; got == nil || got.Metadata[metadata.Name] != "web" {
		t.Errorf("the role of the account itself: %v", got)
	}
	// A service account that was created anew since is not the token's.
	for _, key := range metadata.Reserved() {
		m.api.Annotate("apps", "web", map[string]string{metadata.AnnotationPrefix + key: "forged"})
		wantRefused(t, m.login("own", m.token()), http.StatusBadRequest)
		m.api.Annotate("apps", "web", nil)
	}
}

func TestAddedBoundsOfRoles(t *testing.T) {
	for name, row := range map[string]struct {
		config, role fields
		change       []kubetest.Change
		status       int
	}{
		"pair":                             {role: fields{"bound_service_account_names": nil, "bound_service_account_namespaces": nil, "bound_service_accounts": "apps/web,other/db"}, status: 200},
		"pair with globs":                  {role: fields{"bound_service_account_names": nil, "bound_service_account_namespaces": nil, "bound_service_accounts": "a*/w*"}, status: 200},
		"no cross product of pairs":        {role: fields{"bound_service_account_names": nil, "bound_service_account_namespaces": nil, "bound_service_accounts": "apps/db,other/web"}, status: 403},
		"no cross product with the lists":  {role: fields{"bound_service_account_names": "db", "bound_service_accounts": "other/web"}, status: 403},
		"pair beside lists that do not":    {role: fields{"bound_service_account_names": "db", "bound_service_accounts": "apps/web"}, status: 200},
		"one of the audiences":             {role: fields{"audience": nil, "bound_audiences": "x,vault"}, status: 200},
		"none of the audiences":            {role: fields{"audience": nil, "bound_audiences": "x,y"}, status: 403},
		"selector that matches":            {role: fields{"selector": `serviceaccount.name matches "^w"`}, status: 200},
		"selector that does not":           {role: fields{"selector": `serviceaccount.name matches "^x"`}, status: 403},
		"selector, bounds that do not":     {role: fields{"selector": `serviceaccount.name == "web"`, "bound_service_account_names": "db"}, status: 403},
		"selector on a pod, token without": {role: fields{"selector": `pod.name == "p"`}, status: 403},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, row.config, row.role)
			got := m.login("demo", m.token(row.change...))
			if row.status != 200 {
				wantRefused(t, got, row.status)
			} else if got.status != 200 {
				t.Errorf("%d %s, logged %v", got.status, got.message, m.logs.Take())
			}
			wantAgreement(t, m, fields{"role": "demo", "jwt": m.token(row.change...)})
		})
	}
}

func TestRequireAudience(t *testing.T) {
	m := newDemo(t, nil, fields{"audience": nil})
	m.mustLogin(m.token())
	m.write("config", m.config(fields{"require_audience": true}))
	m.logs.Take()
	wantRefused(t, m.login("demo", m.token()), http.StatusForbidden)
	if logged := fmt.Sprint(m.logs.Take()); !strings.Contains(logged, "[warn]") {
		t.Errorf("an operator has to learn of it, logged: %s", logged)
	}
	for _, changes := range []fields{{"audience": nil}, {"audience": " "}} {
		if got := m.do(logical.UpdateOperation, "role/new", m.role(changes)); got.status != http.StatusBadRequest {
			t.Errorf("a role with %v was written: %d", changes, got.status)
		}
	}
	m.write("role/new", m.role(fields{"audience": nil, "bound_audiences": "vault"}))
	if got := m.login("new", m.token()); got.auth == nil {
		t.Errorf("login under a role with an audience: %d %s", got.status, got.message)
	}
}

func TestStoredSelectorThatCannotBeReadRefuses(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.storage.put(t, "role/demo", `{"bound_service_account_names":["*"],"bound_service_account_namespaces":["*"],"selector":"of another version"}`)
	m.InvalidateKey(t.Context(), "role/demo")
	m.logs.Take()
	wantRefused(t, m.login("demo", m.token()), http.StatusForbidden)
	if logged := fmt.Sprint(m.logs.Take()); !strings.Contains(logged, "[warn]") {
		t.Errorf("an operator has to learn of it, logged: %s", logged)
	}
}

func TestPodMetadataIsOfTheTokenOnly(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.api.AddPod("apps", "web-1", "node-a")
	auth := m.mustLogin(m.token(m.api.BoundToPod("web-1")))
	if auth.Metadata[metadata.Pod] != "web-1" || auth.Metadata[metadata.Node] != "node-a" {
		t.Errorf("token metadata %v", auth.Metadata)
	}
	if _, ok := auth.Alias.Metadata[metadata.Pod]; ok {
		t.Error("the alias would be written at each login of another pod")
	}
}

func TestConsulNamespace(t *testing.T) {
	m := newRules(t, fields{
		"map_namespaces": true, "consul_namespace_prefix": "k8s-",
		"consul_namespace_overrides": map[string]any{"special": "own"},
	})
	m.rule("base", "", "policy", "${consul.namespace}")
	auth := m.mustLoginByRules(m.token())
	if !slices.Equal(auth.Policies, []string{"k8s-apps"}) || auth.Alias.Metadata[metadata.ConsulNamespace] != "k8s-apps" {
		t.Errorf("policies %q, metadata %v", auth.Policies, auth.Alias.Metadata)
	}
	m.api.AddServiceAccount("special", "web")
	auth = m.mustLoginByRules(m.api.Token("special", "web", kubetest.Audience("vault")))
	if !slices.Equal(auth.Policies, []string{"own"}) {
		t.Errorf("policies %q of a namespace with an override", auth.Policies)
	}
}

func TestRenewByRules(t *testing.T) {
	const labeled = `namespace.labels.team == "ci"`
	for name, row := range map[string]struct {
		change func(m *mount)
		ok     bool
	}{
		"nothing changed":              {func(*mount) {}, true},
		"another rule for somebody":    {func(m *mount) { m.rule("x", `serviceaccount.name == "db"`, "policy", "x") }, true},
		"same grant from another rule": {func(m *mount) { m.rule("x", "", "policy", "base") }, true},
		"one policy more":              {func(m *mount) { m.rule("x", "", "policy", "x") }, false},
		"one policy less":              {func(m *mount) { m.do(logical.DeleteOperation, "binding-rule/base", nil) }, false},
		"another service":              {func(m *mount) { m.rule("service", "", "service", "other") }, false},
		"no rule left":                 {func(m *mount) { deleteRules(m) }, false},
		"the role's policies changed":  {func(m *mount) { m.write("role/lent", fields{"token_policies": "more"}) }, false},
		"the role is gone":             {func(m *mount) { m.do(logical.DeleteOperation, "role/lent", nil) }, false},
		"an invalid name": {func(m *mount) {
			m.storage.put(m.t, "binding-rule/x", `{"bind_type":"service","bind_name":"${pod.name}"}`)
			m.InvalidateKey(m.t.Context(), "binding-rule/x")
		}, false},
		"the label is gone":             {func(m *mount) { m.api.AddNamespace("apps", nil) }, false},
		"the namespace is gone":         {func(m *mount) { m.api.DeleteNamespace("apps") }, false},
		"the API server is down":        {func(m *mount) { m.api.Fail(kubetest.Status(http.StatusInternalServerError)) }, true},
		"the permission was taken away": {func(m *mount) { m.api.Revoke("kube-system", "reviewer", kubetest.Namespaces) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newRules(t, nil)
			m.api.AddNamespace("apps", map[string]string{"team": "ci"})
			m.write("role/lent", fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*", "token_policies": "lent", "token_ttl": "5m"})
			m.rule("base", "", "policy", "base")
			m.rule("labeled", labeled, "policy", "labeled")
			m.rule("service", "", "service", "web")
			m.rule("lent", "", "role", "lent")
			auth := m.mustLoginByRules(m.token())
			m.write("role/lent", fields{"token_ttl": "9m"})
			row.change(m)
			got := m.renew(auth)
			switch {
			case row.ok && got.auth == nil:
				t.Fatalf("refused: %d %s", got.status, got.message)
			case !row.ok && got.status == http.StatusOK:
				t.Fatal("renewed")
			case name == "nothing changed" && got.auth.TTL != 9*time.Minute:
				t.Errorf("the TTL is %s, want that of the role as it is now", got.auth.TTL)
			}
		})
	}
}

func deleteRules(m *mount) {
	for _, name := range m.do(logical.ListOperation, "binding-rule/", nil).data["keys"].([]string) {
		m.do(logical.DeleteOperation, "binding-rule/"+name, nil)
	}
}

// The built-in method must be able to say no to a token that rules issued.
func TestLeaseOfRulesHasTheKeyThatVaultReads(t *testing.T) {
	m := newRules(t, nil)
	m.rule("base", "", "policy", "base")
	if role, ok := m.mustLoginByRules(m.token()).InternalData["role"].(string); !ok || role != "" {
		t.Errorf("role in the lease: %q, %t", role, ok)
	}
}

// In the steady state a login reads nothing from storage; a rule that was written,
// here or elsewhere, is read by itself.
func TestRulesReadStorageOnce(t *testing.T) {
	m := newRules(t, nil)
	for i := range 20 {
		m.rule(fmt.Sprint("r", i), "", "policy", fmt.Sprint("p", i))
	}
	m.mustLoginByRules(m.token())
	reads := func(f func()) int64 {
		before := m.storage.reads.Load()
		f()
		return m.storage.reads.Load() - before
	}
	if got := reads(func() { m.mustLoginByRules(m.token()) }); got != 0 {
		t.Errorf("%d reads in the steady state", got)
	}
	m.storage.put(t, "binding-rule/elsewhere", `{"bind_type":"policy","bind_name":"elsewhere"}`)
	m.InvalidateKey(t.Context(), "binding-rule/elsewhere")
	var auth *logical.Auth
	if got := reads(func() { auth = m.mustLoginByRules(m.token()) }); got != 1 {
		t.Errorf("%d reads after one rule was written", got)
	}
	if !slices.Contains(auth.Policies, "elsewhere") {
		t.Error("the rule that was written elsewhere does not count")
	}
	m.InvalidateKey(t.Context(), "binding-rule/r1")
	m.storage.fail("binding-rule/r1")
	if got := m.loginByRules(m.token()); !errors.Is(got.err, errStorage) {
		t.Errorf("a storage that fails is %d %s", got.status, got.message)
	}
	m.storage.fail("")
	m.mustLoginByRules(m.token())
}

func TestTokenSettingsJoin(t *testing.T) {
	cidr := func(blocks ...string) (list []*sockaddr.SockAddrMarshaler) {
		for _, block := range blocks {
			address, err := sockaddr.NewSockAddr(block)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, &sockaddr.SockAddrMarshaler{SockAddr: address})
		}
		return list
	}
	join := func(params ...tokenutil.TokenParams) role.Settings {
		var s role.Settings
		for _, p := range params {
			s.Join(&role.Role{Entry: &role.Entry{TokenParams: p}})
		}
		return s
	}
	type params = tokenutil.TokenParams
	for name, row := range map[string]struct {
		roles []params
		ok    func(s role.Settings) bool
	}{
		"shortest TTLs, unset is no limit": {
			[]params{{TokenTTL: 3, TokenMaxTTL: 9}, {TokenMaxTTL: 8, TokenExplicitMaxTTL: 7}, {TokenTTL: 4}},
			func(s role.Settings) bool { return s.TTL == 3 && s.MaxTTL == 8 && s.ExplicitMaxTTL == 7 },
		},
		"a period needs all":                  {[]params{{TokenPeriod: 5}, {}}, func(s role.Settings) bool { return s.Period == 0 }},
		"shortest period":                     {[]params{{TokenPeriod: 5}, {TokenPeriod: 4}}, func(s role.Settings) bool { return s.Period == 4 }},
		"fewest uses":                         {[]params{{TokenNumUses: 5}, {}, {TokenNumUses: 2}}, func(s role.Settings) bool { return s.NumUses == 2 }},
		"one without the default":             {[]params{{}, {TokenNoDefaultPolicy: true}}, func(s role.Settings) bool { return s.NoDefaultPolicy }},
		"batch if all are":                    {[]params{{TokenType: logical.TokenTypeBatch}, {TokenType: logical.TokenTypeBatch}}, func(s role.Settings) bool { return s.TokenType == logical.TokenTypeBatch }},
		"service if one is not":               {[]params{{TokenType: logical.TokenTypeBatch}, {}}, func(s role.Settings) bool { return s.TokenType == logical.TokenTypeService }},
		"the narrower block":                  {[]params{{TokenBoundCIDRs: cidr("10.0.0.0/8")}, {TokenBoundCIDRs: cidr("10.1.0.0/16", "192.0.2.0/24")}}, func(s role.Settings) bool { return len(s.CIDRs) == 1 && s.CIDRs[0].String() == "10.1.0.0/16" }},
		"no bound is all":                     {[]params{{TokenBoundCIDRs: cidr("10.0.0.0/8")}, {}}, func(s role.Settings) bool { return len(s.CIDRs) == 1 && !s.NoAddressLeft }},
		"bound after none":                    {[]params{{}, {TokenBoundCIDRs: cidr("10.0.0.0/8")}}, func(s role.Settings) bool { return len(s.CIDRs) == 1 && !s.NoAddressLeft }},
		"nothing in common":                   {[]params{{TokenBoundCIDRs: cidr("10.0.0.0/8")}, {TokenBoundCIDRs: cidr("192.0.2.0/24")}}, func(s role.Settings) bool { return s.NoAddressLeft }},
		"nothing in common stays so":          {[]params{{TokenBoundCIDRs: cidr("10.0.0.0/8")}, {TokenBoundCIDRs: cidr("192.0.2.0/24")}, {TokenBoundCIDRs: cidr("0.0.0.0/0")}}, func(s role.Settings) bool { return s.NoAddressLeft }},
		"nothing in common, whatever follows": {[]params{{TokenBoundCIDRs: cidr("10.0.0.0/8")}, {TokenBoundCIDRs: cidr("192.0.2.0/24")}, {TokenBoundCIDRs: cidr("172.16.0.0/12")}, {TokenBoundCIDRs: cidr("172.16.0.0/12")}}, func(s role.Settings) bool { return s.NoAddressLeft }},
		"IPv4 and IPv6 have no overlap":       {[]params{{TokenBoundCIDRs: cidr("10.0.0.0/8")}, {TokenBoundCIDRs: cidr("::/0")}}, func(s role.Settings) bool { return s.NoAddressLeft }},
	} {
		t.Run(name, func(t *testing.T) {
			if s := join(row.roles...); !row.ok(s) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// One entry that is damaged takes itself away, and not the login of everybody.
func TestStoredRuleThatCannotBeRead(t *testing.T) {
	m := newRules(t, nil)
	m.rule("base", "", "policy", "base")
	m.storage.put(t, "binding-rule/damaged", `{"bind_type":`)
	m.storage.put(t, "binding-rule/foreign", `{"bind_type":"of another version","bind_name":"x"}`)
	if auth := m.mustLoginByRules(m.token()); !slices.Equal(auth.Policies, []string{"base"}) {
		t.Errorf("policies %q", auth.Policies)
	}
	if logged := fmt.Sprint(m.logs.Take()); !strings.Contains(logged, "damaged") || !strings.Contains(logged, "foreign") {
		t.Errorf("logged: %s", logged)
	}
}

// A storage that fails is no reason to take it for a refusal.
func TestRenewalTellsStorageFromRefusal(t *testing.T) {
	for _, key := range []string{"config", "binding-rule/"} {
		m := newDemo(t, nil, nil)
		m.rule("base", "", "policy", "base")
		auth := m.mustLoginByRules(m.token())
		m.InvalidateKey(t.Context(), "config")
		m.InvalidateKey(t.Context(), "binding-rule/base")
		m.storage.fail(key)
		if got := m.renew(auth); !errors.Is(got.err, errStorage) {
			t.Errorf("%s fails, by rules: %d %s", key, got.status, got.message)
		}
	}
	m := newDemo(t, nil, nil)
	auth := m.mustLogin(m.token())
	m.InvalidateKey(t.Context(), "config")
	m.storage.fail("config")
	if got := m.renew(auth); !errors.Is(got.err, errStorage) {
		t.Errorf("config fails, by role: %d %s", got.status, got.message)
	}
}
