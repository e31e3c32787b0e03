package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/vault/sdk/logical"
	authv1 "k8s.io/api/authentication/v1"

	"vault-plugin-auth-kubernetes/internal/explain"
	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/login"
	"vault-plugin-auth-kubernetes/internal/logtest"
	"vault-plugin-auth-kubernetes/internal/metadata"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

// explained is an explanation of a login from no address in particular.
func (m *mount) explained(data fields) fields {
	m.t.Helper()
	o := m.do(logical.UpdateOperation, "explain", data)
	if o.status != http.StatusOK {
		m.t.Fatalf("explaining: %d %s", o.status, o.message)
	}
	m.wantGolden(o)
	return o.data
}

// wantFields compares the named fields of an answer; nil is one that is not there.
func wantFields(t *testing.T, got, want fields) {
	t.Helper()
	for key, value := range want {
		if fmt.Sprint(got[key]) != fmt.Sprint(value) {
			t.Errorf("%s is %v, want %v", key, got[key], value)
		}
	}
}

// steps are the steps of an answer, in its order, which is that of their keys.
func steps(got fields) []string {
	var steps []string
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if strings.HasPrefix(key, "step_") {
			steps = append(steps, fmt.Sprint(key[len("step_"):], " ", got[key]))
		}
	}
	return steps
}

func wantSteps(t *testing.T, got fields, want ...string) {
	t.Helper()
	if got := steps(got); !slices.Equal(got, want) {
		t.Errorf("steps\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestExplainAllowed(t *testing.T) {
	m := newDemo(t, fields{"cluster_name": "east"}, fields{"token_ttl": 600, "token_max_ttl": 3600, "token_period": 60, "token_num_uses": 3, "token_bound_cidrs": "192.0.2.0/24", "alias_metadata": map[string]string{"k": "v"}})
	m.api.AddPod("apps", "web-1", "node-a")
	uid := m.api.AddServiceAccount("apps", "web")
	got := m.explain(fields{"role": "demo", "jwt": m.token(m.api.BoundToPod("web-1"))}).data
	wantSteps(t, got,
		"01_source_address allowed", "02_configuration allowed", "03_token_form allowed", "04_unverified_claims allowed",
		"05_signature allowed", "06_token_review allowed", "07_token_posture allowed", "08_audience allowed", "09_service_account_name allowed",
		"10_namespace allowed", "11_selector allowed", "12_alias allowed")
	wantFields(t, got, fields{
		"verdict": "allowed", "client_sees": "200 and a Vault token", "failed_step": nil, "reason": nil, "remedy": nil, "note": nil,
		"policies": []string{"p1", "p2"}, "alias_name": uid, "display_name": "apps-web", "token_ttl": 600, "token_max_ttl": 3600,
		"token_period": 60, "token_num_uses": 3, "token_type": "default", "token_bound_cidrs": []string{"192.0.2.0/24"},
		"token_explicit_max_ttl": nil, "token_no_default_policy": nil, "group_aliases": nil, "rules_matched": nil,
	})
	attributes := partsOf(got, "attributes")
	for key, want := range map[string]string{
		"serviceaccount.namespace": "apps", "serviceaccount.name": "web", "serviceaccount.uid": uid,
		"pod.name": "web-1", "node.name": "node-a", "cluster.name": "east", "audiences": "vault",
	} {
		if attributes[key] != want {
			t.Errorf("%s is %q, want %q", key, attributes[key], want)
		}
	}
	if got := partsOf(got, "alias_metadata"); got["k"] != "v" || got["service_account_name"] != "web" {
		t.Errorf("alias metadata %v", got)
	}
	if lines := m.logs.Take(); len(lines) > 0 {
		t.Errorf("logged %v", lines)
	}
}

// Each step refuses once; what comes after is not reached, or judged all the same if
// it is another bound of the role.
func TestExplainNamesTheStep(t *testing.T) {
	for name, row := range map[string]struct {
		config, role, request fields
		prepare               func(*mount)
		token                 func(*mount) string
		verdict, step         string
		reason, remedy, sees  string // the beginning, a part, all
	}{
		"unknown role": {
			request: fields{"role": "nobody"}, verdict: "invalid", step: "request",
			reason: "there is no role of that name", remedy: "vault list auth/test/role", sees: `400 invalid role name "nobody"`,
		},
		"no role and no rules": {
			request: fields{"role": ""}, verdict: "invalid", step: "request",
			reason: "no role was named, and there are no binding rules", remedy: "vault write auth/test/binding-rule/NAME", sees: "400 missing role",
		},
		"source address": {
			role: fields{"token_bound_cidrs": "198.51.100.0/24"}, request: fields{"remote_addr": "192.0.2.1"}, verdict: "denied", step: "source address",
			reason: "the source address is not in the role's token_bound_cidrs", remedy: "vault read auth/test/role/demo", sees: "403 permission denied",
		},
		"no configuration": {
			prepare: func(m *mount) { m.do(logical.DeleteOperation, "config", nil) }, verdict: "could not ask", step: "configuration",
			reason: "could not load backend configuration", remedy: "vault write auth/test/config kubernetes_host=…", sees: "500 could not load backend configuration",
		},
		"CA that cannot be read": {
			prepare: func(m *mount) { m.stored("config", `{"host":"https://127.0.0.1:1","disable_iss_validation":true}`) }, verdict: "could not ask", step: "configuration",
			reason: "the pod's CA certificate cannot be read", remedy: "disable_local_ca_jwt=true", sees: "503 " + couldNotAskMessage,
		},
		"not a token": {
			token: func(*mount) string { return "not-a-token" }, verdict: "denied", step: "token form",
			reason: "malformed token: not three segments", remedy: "kubectl create token NAME -n NAMESPACE --audience=vault", sees: "403 permission denied",
		},
		"expired": {
			token:   func(m *mount) string { return m.token(kubetest.Expiry(time.Now().Add(-time.Hour))) },
			verdict: "denied", step: "unverified claims", reason: "the token expired at ", remedy: "the clock here says 20", sees: "403 permission denied",
		},
		"audience of the claims": {
			token:   func(m *mount) string { return m.token(kubetest.Audience("other")) },
			verdict: "denied", step: "unverified claims", reason: `the token's audiences are ["other"], the role asks for one of ["vault"]`,
			remedy: "kubectl create token NAME -n NAMESPACE --audience=vault", sees: "403 permission denied",
		},
		"default issuer": {
			config:  fields{"disable_iss_validation": false},
			verdict: "denied", step: "unverified claims", reason: `the token's issuer is "https://kubernetes.default.svc.cluster.local", the configuration asks for "kubernetes/serviceaccount"`,
			remedy: "vault patch auth/test/config disable_iss_validation=true", sees: "403 permission denied",
		},
		"issuer": {
			config:  fields{"disable_iss_validation": false, "issuer": "https://other.example"},
			verdict: "denied", step: "unverified claims", reason: `the token's issuer is "https://kubernetes.default.svc.cluster.local", the configuration asks for "https://other.example"`,
			remedy: "use a token of the issuer that the configuration names", sees: "403 permission denied",
		},
		"signature": {
			config:  fields{"pem_keys": []string{kubetest.NewECDSAKey().PublicPEM()}},
			verdict: "denied", step: "signature", reason: "no configured key signed the token", remedy: "vault read auth/test/config", sees: "403 permission denied",
		},
		"deleted": {
			token: func(m *mount) string {
				token := m.token()
				m.api.DeleteServiceAccount("apps", "web")
				return token
			},
			verdict: "denied", step: "token review", reason: "the API server did not authenticate the token", remedy: "still exist", sees: "403 permission denied",
		},
		"reviewer without permission": {
			prepare: func(m *mount) { m.api.Revoke("kube-system", "reviewer", kubetest.TokenReviews) }, verdict: "denied", step: "token review",
			reason: "create TokenReview: forbidden", remedy: "system:auth-delegator", sees: "403 permission denied",
		},
		"not a service account": {
			prepare: func(m *mount) { m.api.OnReview(setUsername("alice")) }, verdict: "denied", step: "token review",
			reason: `the token does not belong to a service account: the user is "alice"`, remedy: "use the token of a service account: kubectl create token", sees: "403 permission denied",
		},
		"service accounts may not be read": {
			config:  fields{"use_annotations_as_alias_metadata": true},
			prepare: func(m *mount) { m.api.Revoke("kube-system", "reviewer", kubetest.ServiceAccounts) }, verdict: "denied", step: "alias",
			reason: "get ServiceAccount: forbidden", remedy: "--resource=serviceaccounts; ", sees: "403 permission denied",
		},
		"outage": {
			prepare: func(m *mount) { m.api.Fail(kubetest.Status(http.StatusInternalServerError)) }, verdict: "could not ask", step: "token review",
			reason: "create TokenReview: server error", remedy: "the API server's own health", sees: "503 " + couldNotAskMessage,
		},
		"audience required": {
			role: fields{"audience": nil}, prepare: func(m *mount) { m.write("config", m.config(fields{"require_audience": true})) },
			verdict: "denied", step: "token review", reason: "the configuration has require_audience set", remedy: "give the role an audience", sees: "403 permission denied",
		},
		"name": {
			role: fields{"bound_service_account_names": "db,it's"}, verdict: "denied", step: "service account name",
			reason: `the role is not bound to the service account name "web"`, sees: "403 permission denied",
			remedy: `vault write auth/test/role/demo bound_service_account_names='db,it'\''s,web'`,
		},
		"namespace": {
			role: fields{"bound_service_account_namespaces": "a,b"}, verdict: "denied", step: "namespace",
			reason: `the role is not bound to the namespace "apps"`, remedy: "vault write auth/test/role/demo bound_service_account_namespaces=a,b,apps", sees: "403 permission denied",
		},
		"labels of the namespace": {
			role:    fields{"bound_service_account_namespaces": "none", "bound_service_account_namespace_selector": selectorOfCI},
			prepare: func(m *mount) { m.api.AddNamespace("apps", map[string]string{"team": "x"}) }, verdict: "denied", step: "namespace",
			reason: `the labels of the namespace "apps" do not match`, remedy: "kubectl label namespace apps", sees: "403 permission denied",
		},
		"namespaces may not be read": {
			role:    fields{"bound_service_account_namespaces": "none", "bound_service_account_namespace_selector": selectorOfCI},
			prepare: func(m *mount) { m.api.Revoke("kube-system", "reviewer", kubetest.Namespaces) }, verdict: "denied", step: "namespace",
			reason: "get Namespace: forbidden", remedy: "kubectl create clusterrole vault-get-namespaces --verb=get --resource=namespaces; kubectl create clusterrolebinding", sees: "403 permission denied",
		},
		"selector": {
			role: fields{"selector": `serviceaccount.name == "db"`}, verdict: "denied", step: "selector",
			reason: `the role's selector does not match: serviceaccount.name == "db" is false: serviceaccount.name is "web"`,
			remedy: "vault read -field=selector auth/test/role/demo", sees: "403 permission denied",
		},
		"reserved annotation": {
			config: fields{"use_annotations_as_alias_metadata": true},
			prepare: func(m *mount) {
				m.api.Annotate("apps", "web", map[string]string{metadata.AnnotationPrefix + metadata.UID: "x"})
			},
			verdict: "invalid", step: "alias", reason: "entity alias metadata keys for only internal use found",
			remedy: "kubectl annotate serviceaccount web -n apps",
			sees:   `400 entity alias metadata keys for only internal use found from the client token's associated service account annotations: keys=["service_account_uid"]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, row.config, row.role)
			if row.prepare != nil {
				row.prepare(m)
			}
			token := m.token()
			if row.token != nil {
				token = row.token(m)
			}
			got := m.explained(merge(fields{"role": "demo", "jwt": token}, row.request))
			wantFields(t, got, fields{"verdict": row.verdict, "failed_step": row.step, "client_sees": row.sees})
			if reason := fmt.Sprint(got["reason"]); !strings.HasPrefix(reason, row.reason) {
				t.Errorf("the reason is %q, want %q", reason, row.reason)
			}
			if remedy := fmt.Sprint(got["remedy"]); !strings.Contains(remedy, row.remedy) {
				t.Errorf("the remedy is %q, want %q", remedy, row.remedy)
			}
			wantOneStory(t, got, row.step)
		})
	}
}

// wantOneStory checks that the steps tell what the verdict does: all before the one
// that refused passed, and what does not depend on it alone was judged after it.
func wantOneStory(t *testing.T, got fields, failed string) {
	t.Helper()
	seen := failed == "request"
	for _, line := range steps(got) {
		name, verdict, _ := strings.Cut(line, " ")
		name = strings.ReplaceAll(name[len("01_"):], "_", " ")
		independent := login.IsBound(refusal.Step(name)) &&
			login.IsBound(refusal.Step(failed))
		switch {
		case name == failed:
			seen = true
			if want := fmt.Sprint(got["verdict"], ": ", got["reason"]); verdict != want {
				t.Errorf("%s is %q, want %q", name, verdict, want)
			}
		case !seen && verdict != "allowed":
			t.Errorf("%s, before the refusal, is %q", name, verdict)
		case seen && independent && verdict == "not reached", seen && !independent && verdict != "not reached":
			t.Errorf("%s, after the refusal, is %q", name, verdict)
		}
	}
	if !seen {
		t.Errorf("no step %q", failed)
	}
}

// An operator sees all bounds that do not hold at once.
func TestExplainJudgesAllBounds(t *testing.T) {
	m := newDemo(t, nil, fields{
		"bound_service_account_names": "db", "bound_service_account_namespaces": "other", "selector": `namespace.labels.team == "ci"`,
	})
	m.api.AddNamespace("apps", map[string]string{"team": "x"})
	got := m.explained(fields{"role": "demo", "jwt": m.token()})
	wantFields(t, got, fields{
		"failed_step":                  "service account name",
		"step_08_audience":             "allowed",
		"step_09_service_account_name": `denied: the role is not bound to the service account name "web"`,
		"step_10_namespace":            `denied: the role is not bound to the namespace "apps"`,
		"step_11_selector":             `denied: the role's selector does not match: namespace.labels.team == "ci" is false: namespace.labels["team"] is "x"`,
		"step_12_alias":                "not reached",
	})
	if attributes := partsOf(got, "attributes"); attributes[`namespace.labels["team"]`] != "x" {
		t.Errorf("attributes %v, want the label that decided", attributes)
	}
	got = m.explained(fields{"role": "demo", "jwt": m.token(kubetest.SignedWith(kubetest.NewECDSAKey()))})
	if attributes := partsOf(got, "attributes"); attributes != nil {
		t.Errorf("attributes of a token that nobody confirmed: %v", attributes)
	}
	wantFields(t, got, fields{"step_09_service_account_name": "not reached", "step_11_selector": "not reached"})
}

func TestExplainSourceAddress(t *testing.T) {
	m := newDemo(t, nil, fields{"token_bound_cidrs": "10.0.0.0/8,192.0.2.0/24"})
	got := m.explained(fields{"role": "demo", "jwt": m.token()})
	wantFields(t, got, fields{
		"verdict":                "allowed",
		"step_01_source_address": "not judged: the role allows logins from 10.0.0.0/8, 192.0.2.0/24 only; give remote_addr",
		"note":                   "source addresses were not judged; a login may still be refused for its own, give remote_addr",
	})
	got = m.explained(fields{"role": "demo", "jwt": m.token(), "remote_addr": "10.9.8.7"})
	wantFields(t, got, fields{"verdict": "allowed", "step_01_source_address": "allowed", "note": nil})
	for _, address := range []string{"10.0.0", "10.0.0.1:443", "10.0.0.0/8", "[::1]", "fe80::1%eth0", "host", " 10.0.0.1"} {
		if o := m.do(logical.UpdateOperation, "explain", fields{"role": "demo", "jwt": m.token(), "remote_addr": address}); o.status != http.StatusBadRequest {
			t.Errorf("%q: %d %v", address, o.status, o.data)
		}
	}
}

func TestExplainRules(t *testing.T) {
	m := newRules(t, fields{"service_name_annotation": "consul.hashicorp.com/service-name"})
	m.api.AddNamespace("apps", map[string]string{"team": "ci"})
	m.api.Annotate("apps", "web", map[string]string{"consul.hashicorp.com/service-name": "front"})
	bound := fields{"bound_service_account_names": "web", "bound_service_account_namespaces": "apps", "token_policies": "lent"}
	m.write("role/fits", bound)
	m.write("role/elsewhere", merge(maps.Clone(bound), fields{"bound_service_account_namespaces": "x", "bound_service_account_names": "y"}))
	m.write("role/near", merge(maps.Clone(bound), fields{"token_bound_cidrs": "10.0.0.0/8"}))
	m.overridingRule("a-policy", `serviceaccount.name == "front"`, "policy", "p-${serviceaccount.name}")
	m.overridingRule("j-own-name", `serviceaccount.name == "web"`, "policy", "own")
	m.rule("b-not", `namespace.labels.team == "x"`, "policy", "x")
	m.rule("c-fits", "", "role", "fits")
	m.rule("d-elsewhere", "", "role", "elsewhere")
	m.rule("e-missing", "", "role", "missing")
	m.rule("f-near", "", "role", "near")
	m.rule("g-group", "", "group", "team")
	m.storage.put(t, "binding-rule/h-broken", `{"bind_type":"of another version","bind_name":"x"}`)
	m.InvalidateKey(t.Context(), "binding-rule/h-broken")
	m.logs.Take()

	got := m.explained(fields{"jwt": m.token()})
	wantFields(t, got, fields{
		"verdict": "allowed", "policies": []string{"lent", "p-front"}, "group_aliases": []string{"team"},
		"note": "source addresses were not judged; a login may still be refused for its own, give remote_addr",
	})
	wantSteps(t, got,
		"01_configuration allowed", "02_source_address allowed", "03_token_form allowed", "04_unverified_claims allowed",
		"05_signature allowed", "06_token_review allowed", "07_token_posture allowed", "08_binding_rules allowed", "09_alias allowed")
	wantLines(t, got, "rules_matched", "a-policy: (use_service_name_annotation) grants policy p-front", "c-fits: grants role fits", "f-near: grants role near", "g-group: grants group team")
	wantLines(t, got, "rules_not_matched",
		`b-not: namespace.labels.team == "x" is false: namespace.labels["team"] is "ci"`,
		`d-elsewhere: skipped: the bounds of the role "elsewhere" do not hold: service account name: the role is not bound to the service account name "web"; namespace: the role is not bound to the namespace "apps"`,
		`e-missing: skipped: there is no role "missing"`,
		`h-broken: broken, matches nothing: bind_type: `,
		`j-own-name: (use_service_name_annotation) serviceaccount.name == "web" is false: serviceaccount.name is "front"`)
	if attributes := partsOf(got, "attributes"); attributes["serviceaccount.name"] != "web" || attributes["serviceaccount.name (use_service_name_annotation)"] != "front" {
		t.Errorf("attributes %v", attributes)
	}

	got = m.explain(fields{"jwt": m.token()}).data
	wantFields(t, got, fields{"note": nil})
	if !strings.Contains(fmt.Sprint(linesOf(got, "rules_not_matched")), `f-near: skipped: the bounds of the role "near" do not hold: source address: the source address is not in`) {
		t.Errorf("the role for other addresses: %v", linesOf(got, "rules_not_matched"))
	}
	wantAgreement(t, m, fields{"jwt": m.token()})

	m.rule("i-invalid", "", "service", "x-${namespace.labels.nothing}")
	got = m.explained(fields{"jwt": m.token()})
	wantFields(t, got, fields{"verdict": "denied", "failed_step": "binding rules", "policies": nil, "step_09_alias": "not reached"})
	if lines := fmt.Sprint(linesOf(got, "rules_not_matched")); !strings.Contains(lines, `i-invalid: binding rule "i-invalid" computes no valid service name`) ||
		!strings.Contains(lines, `matches, but the login ended before the role "fits" was looked at`) {
		t.Errorf("rules that did not match: %v", lines)
	}
}

func wantLines(t *testing.T, got fields, key string, want ...string) {
	t.Helper()
	lines := linesOf(got, key)
	if len(lines) != len(want) {
		t.Errorf("%s is %q, want %q", key, lines, want)
		return
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, want[i]) {
			t.Errorf("%s has %q, want %q", key, line, want[i])
		}
	}
}

// partsOf are the entries of an answer whose keys are parts of one, nil if there are none.
func partsOf(got fields, key string) map[string]string {
	var parts map[string]string
	for full, value := range got {
		if name, ok := strings.CutPrefix(full, key+"/"); ok {
			if parts == nil {
				parts = map[string]string{}
			}
			parts[name] = fmt.Sprint(value)
		}
	}
	return parts
}

// linesOf are these entries in the order in which the vault command prints them.
func linesOf(got fields, key string) []string {
	parts := partsOf(got, key)
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		lines = append(lines, name+": "+parts[name])
	}
	return lines
}

// Roles for addresses with nothing in common: no client has both, so only with an
// address there is a verdict.
func TestExplainRolesThatTheAddressDecides(t *testing.T) {
	m := newRules(t, nil)
	for name, block := range map[string]string{"one": "10.0.0.0/8", "two": "192.0.2.0/24"} {
		m.write("role/"+name, fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*", "token_policies": name, "token_bound_cidrs": block})
		m.rule(name, "", "role", name)
	}
	wantFields(t, m.explained(fields{"jwt": m.token()}), fields{"verdict": "invalid", "failed_step": "binding rules", "client_sees": nil})
	wantFields(t, m.explain(fields{"jwt": m.token()}).data, fields{"verdict": "allowed", "policies": []string{"two"}})
	wantAgreement(t, m, fields{"jwt": m.token()})
}

func TestExplainListsAreBounded(t *testing.T) {
	m := newRules(t, nil)
	labels := map[string]string{}
	for i := range explain.MaxEntries + 50 {
		labels[fmt.Sprintf("label-%04d", i)] = "x"
	}
	m.api.AddNamespace("apps", labels)
	for i := range explain.MaxRules + 30 {
		m.rule(fmt.Sprintf("yes-%04d", i), "", "policy", "p")
		m.rule(fmt.Sprintf("no-%04d", i), `serviceaccount.name == "db"`, "policy", "p")
	}
	m.rule("by-label", `"label-0001" in namespace.labels`, "policy", strings.Repeat("long", 20))
	m.storage.put(t, "binding-rule/zz-broken", `{`)
	m.InvalidateKey(t.Context(), "binding-rule/zz-broken")
	got := m.explained(fields{"jwt": m.token()})
	if yes, no := partsOf(got, "rules_matched"), partsOf(got, "rules_not_matched"); len(yes) != explain.MaxRules || len(no) != explain.MaxRules || no["zz-broken"] == "" {
		t.Errorf("%d rules that matched and %d that did not, the broken one is %q", len(yes), len(no), no["zz-broken"])
	}
	wantFields(t, got, fields{"rules_matched": explain.MaxRules + 31, "rules_not_matched": explain.MaxRules + 31})
	if got["rules_not_listed"] != 31+31 {
		t.Errorf("%v rules are not listed", got["rules_not_listed"])
	}
	if listed := len(partsOf(got, "attributes")); listed != explain.MaxEntries || got["attributes_not_listed"] == nil {
		t.Errorf("%d attributes, %v not listed", listed, got["attributes_not_listed"])
	}
	m.api.OnReview(refuseWith("x" + strings.Repeat("€", 1<<16)))
	if got := fmt.Sprint(m.explained(fields{"jwt": m.token()})); len(got) > 8<<10 || !utf8.ValidString(got) {
		t.Errorf("the answer has %d bytes", len(got))
	}
}

// What the API server says now counts, whatever logins remember; and nothing that
// was explained is remembered for them.
func TestExplainAsksAnew(t *testing.T) {
	m, _ := newClockedDemo(t, fields{"token_review_cache_ttl": 30})
	jwt := m.token()
	m.explained(fields{"role": "demo", "jwt": jwt})
	m.api.Forget()
	m.mustLogin(jwt)
	if got := m.api.Count(kubetest.TokenReviews); got != 1 {
		t.Errorf("%d reviews of a login after it was explained, want 1", got)
	}
	m.api.DeleteServiceAccount("apps", "web")
	m.mustLogin(jwt)
	wantFields(t, m.explained(fields{"role": "demo", "jwt": jwt}), fields{
		"verdict": "denied", "failed_step": "token review",
		"note": "the API server was asked anew; a login may go by an answer up to 30s old (token_review_cache_ttl)",
	})
}

func TestExplainErrors(t *testing.T) {
	for _, key := range []string{"config", "role/", "binding-rule/"} {
		m := newDemo(t, nil, nil)
		request := fields{"role": "demo", "jwt": m.token()}
		if key == "binding-rule/" {
			delete(request, "role")
		}
		m.storage.fail(key)
		if o := m.do(logical.UpdateOperation, "explain", request); !errors.Is(o.err, errStorage) || o.data != nil {
			t.Errorf("%s cannot be read: %d %v %v", key, o.status, o.err, o.data)
		}
	}
}

// Explaining takes no longer than a login may.
func TestExplainHasADeadline(t *testing.T) {
	m := newDemo(t, fields{"request_timeout": 1}, nil)
	m.api.Fail(kubetest.Hang())
	start := time.Now()
	wantFields(t, m.explained(fields{"role": "demo", "jwt": m.token()}), fields{"verdict": "could not ask", "failed_step": "token review"})
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

// Neither the token nor a part of it is in the answer, whoever repeats it: the API
// server, its proxy, or the one who mixes up the fields.
func TestExplainRepeatsNoToken(t *testing.T) {
	for name, row := range map[string]struct {
		prepare func(m *mount, token string)
		request func(token string) fields
	}{
		"allowed":             {},
		"token as the role":   {request: func(token string) fields { return fields{"role": token, "jwt": "demo"} }},
		"token as both":       {request: func(token string) fields { return fields{"role": token, "jwt": token} }},
		"token with space":    {request: func(token string) fields { return fields{"role": "demo", "jwt": "\n " + token + "\n"} }},
		"token cut off":       {request: func(token string) fields { return fields{"role": "demo", "jwt": token[:len(token)-9]} }},
		"token and more":      {request: func(token string) fields { return fields{"role": "demo", "jwt": token + "." + token} }},
		"quoted token":        {request: func(token string) fields { return fields{"role": "demo", "jwt": `"` + token + `"`} }},
		"review that repeats": {prepare: func(m *mount, token string) { m.api.OnReview(refuseWith("no: " + token)) }},
		"signature is repeated": {prepare: func(m *mount, token string) {
			m.api.OnReview(refuseWith("no: " + token[strings.LastIndex(token, ".")+1:]))
		}},
		"repeats as a user": {prepare: func(m *mount, token string) { m.api.OnReview(setUsername(token)) }},
		"error that repeats": {prepare: func(m *mount, token string) {
			m.api.Fail(kubetest.Text(http.StatusInternalServerError, "text/plain", strings.Repeat("x", explain.MaxReason-60)+token))
		}},
		"annotation that repeats": {prepare: func(m *mount, token string) {
			m.write("config", m.config(fields{"use_annotations_as_alias_metadata": true}))
			m.write("role/demo", fields{"selector": `serviceaccount.annotations.x != "y"`})
			m.api.Annotate("apps", "web", map[string]string{metadata.AnnotationPrefix + "t": token, token: "x"})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, nil)
			token := m.token()
			for strings.Contains(token, ".-") || strings.Contains(token, "._") { // read as punctuation, which may stay
				m = newDemo(t, nil, nil)
				token = m.token()
			}
			if row.prepare != nil {
				row.prepare(m, token)
			}
			request := fields{"role": "demo", "jwt": token}
			if row.request != nil {
				request = row.request(token)
			}
			got := m.explain(request)
			wantNoToken(t, got, fields{"jwt": token})
			for _, part := range strings.Split(m.api.Reviewer, ".")[1:] {
				if strings.Contains(fmt.Sprint(got), part) {
					t.Errorf("the answer has the reviewer's token: %v", got)
				}
			}
			m.logs.WantNone(t, strings.Split(token, ".")...)
		})
	}
}

// A variable that was not set makes another login of it, which the answer says.
func TestExplainOfFieldsNamedAndEmpty(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.rule("all", "*", "policy", "p")
	for name, row := range map[string]struct {
		data fields
		want []string
	}{
		"left out":         {nil, nil},
		"no role":          {fields{"role": ""}, []string{"role was named and is empty, so this explains a login by rules"}},
		"null for a role":  {fields{"role": nil}, []string{"role was named and is empty"}},
		"no address":       {fields{"remote_addr": ""}, []string{"remote_addr was named and is empty, so no source address was judged"}},
		"neither":          {fields{"role": "", "remote_addr": ""}, []string{"role was named", "remote_addr was named"}},
		"a role":           {fields{"role": "demo", "remote_addr": "192.0.2.1"}, nil},
		"with a bad token": {fields{"role": "", "jwt": "a.b.c"}, []string{"role was named"}},
	} {
		t.Run(name, func(t *testing.T) {
			data := fields{"jwt": m.token()}
			maps.Copy(data, row.data)
			o := m.do(logical.UpdateOperation, "explain", data)
			note, _ := o.data["note"].(string)
			if o.status != http.StatusOK || (note == "") != (row.want == nil) {
				t.Errorf("%d %s, note %q", o.status, o.message, note)
			}
			for _, want := range row.want {
				if !strings.Contains(note, want) {
					t.Errorf("note %q, want %q", note, want)
				}
			}
		})
	}
}

func refuseWith(text string) func(*authv1.TokenReview) {
	return func(r *authv1.TokenReview) { r.Status.Authenticated, r.Status.Error = false, text }
}

// FuzzExplain sends anything as token, role and address: no part of what looks like
// a token comes back, and nothing but a verdict or a 400.
func FuzzExplain(f *testing.F) {
	f.Add("a.b.c", "demo", "")
	f.Add(kubetest.Forge(fields{"alg": "ES256"}, fields{"aud": "vault"}, []byte("a signature of some length")), "demo", "192.0.2.1")
	f.Add("eyJhbGciOiJub25lIn0.eyJhdWQiOiJ2YXVsdCJ9.c2lnbmF0dXJlLW9mLXNvbWUtbGVuZ3Ro", "eyJhbGciOiJub25lIn0.eyJhdWQiOiJ2YXVsdCJ9.c2lnbmF0dXJl", "::1")
	f.Fuzz(func(t *testing.T, jwt, role, remote string) {
		s := newStorage()
		s.put(t, "config", `{"host":"https://127.0.0.1:1","disable_local_ca_jwt":true,"disable_iss_validation":true}`)
		s.put(t, "role/demo", `{"bound_service_account_names":["*"],"bound_service_account_namespaces":["*"]}`)
		b := newBackend()
		defer b.Cleanup(context.Background())
		if err := b.Setup(t.Context(), &logical.BackendConfig{Logger: logtest.New(), System: logical.TestSystemView(), StorageView: s}); err != nil {
			t.Fatal(err)
		}
		request := &logical.Request{
			Operation: logical.UpdateOperation, Path: "explain", Storage: s, MountPoint: "auth/test/",
			Data: fields{"jwt": jwt, "role": role, "remote_addr": remote},
		}
		response, err := b.HandleRequest(t.Context(), request)
		if err != nil || response == nil {
			t.Fatalf("response %v, error %v", response, err)
		}
		wantNoToken(t, outcome{data: response.Data}, fields{"jwt": jwt, "role": role})
	})
}
