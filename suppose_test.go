package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/logtest"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/telemetry"
)

// guesses is a mount with roles and rules that nobody thought out, and a cluster to
// suppose things of.
type guesses struct {
	*mount
	*rand.Rand
	accounts []string          // NAMESPACE/NAME
	nodes    map[string]string // of pods, by NAMESPACE/NAME
	roles    []string
	audience []string // that logins by rules ask for; none is the API server's own
}

var guessedSelectors = []string{
	"*", `serviceaccount.name == "web"`, `serviceaccount.namespace != "bank"`, `serviceaccount.labels.tier == "front"`,
	`serviceaccount.annotations.team is not empty`, `namespace.labels.env == "prod" or pod.name matches "^runner-"`,
	`node.name == "n1"`, `pod.name is empty`, `"vault" in audiences`, `not ("vault" in audiences)`, `cluster.name == "east"`, `serviceaccount.uid != ""`,
}

func newGuesses(t *testing.T, seed uint64) *guesses {
	r := rand.New(rand.NewPCG(seed, 15))
	g := &guesses{mount: newMount(t), Rand: r, nodes: map[string]string{}}
	g.audience = [][]string{nil, {"vault"}, {"vault", "other"}}[r.IntN(3)]
	g.api.Grant(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.Namespaces, kubetest.ServiceAccounts)
	for _, namespace := range []string{"shop", "bank"} {
		g.api.AddNamespace(namespace, map[string]string{"env": pick(r, []string{"prod", "dev"})})
		for _, name := range []string{"web", "db"} {
			g.api.AddServiceAccount(namespace, name)
			if r.IntN(2) == 0 {
				g.api.Label(namespace, name, map[string]string{"tier": pick(r, []string{"front", "back"})})
			}
			if r.IntN(2) == 0 {
				g.api.Annotate(namespace, name, map[string]string{"team": "red", "example.com/name": pick(r, []string{"web", "vip"}), "vault.hashicorp.com/alias-metadata-team": "red"})
			}
			g.accounts = append(g.accounts, namespace+"/"+name)
		}
		for _, pod := range []string{"runner-1", "front-1"} {
			g.nodes[namespace+"/"+pod] = pick(r, []string{"n1", "n2"})
			g.api.AddPod(namespace, pod, g.nodes[namespace+"/"+pod])
		}
	}
	for i := range 3 {
		role := fields{
			"bound_service_account_names": pick(r, []string{"*", "web", "w*"}), "bound_service_account_namespaces": pick(r, []string{"*", "shop", "none"}),
			"audience": pick(r, []string{"", "vault", "other"}), "token_policies": fmt.Sprint("role-", i), "alias_name_source": pick(r, []string{"serviceaccount_uid", "serviceaccount_name"}),
			"token_ttl": r.IntN(3) * 60, "token_bound_cidrs": pick(r, []string{"", "", "192.0.2.0/24", "10.0.0.0/8"}),
		}
		if r.IntN(3) == 0 {
			role["bound_service_account_namespace_selector"] = `{"matchLabels":{"env":"prod"}}`
		}
		if r.IntN(2) == 0 {
			role["selector"] = pick(r, guessedSelectors)
		}
		name := fmt.Sprint("r", i)
		g.write("role/"+name, role)
		g.roles = append(g.roles, name)
	}
	for i := range r.IntN(6) {
		bindType := pick(r, []string{"policy", "role", "group", "service", "node"})
		name := pick(r, []string{"fixed", "${serviceaccount.name}", "${serviceaccount.namespace}-x"})
		if bindType == "role" {
			name = pick(r, []string{"r0", "r1", "gone"})
		}
		g.write(fmt.Sprint("binding-rule/b", i), fields{
			"selector": pick(r, guessedSelectors), "bind_type": bindType, "bind_name": name, "use_service_name_annotation": r.IntN(3) == 0,
		})
	}
	g.write("config", g.config(fields{
		"binding_rule_audiences": g.audience, "cluster_name": pick(r, []string{"", "east"}), "service_name_annotation": pick(r, []string{"", "example.com/name"}),
		"use_annotations_as_alias_metadata": r.IntN(2) == 0, "binding_rule_role": pick(r, []string{"", "", "r2"}), "map_namespaces": r.IntN(2) == 0,
	}))
	return g
}

// ask is a login with a real token, with what it logged, and the same without one.
func (g *guesses) ask() (login, supposed outcome, logged []logtest.Line, what string) {
	account := pick(g.Rand, g.accounts)
	namespace, name, _ := strings.Cut(account, "/")
	question := fields{"service_account": account, "remote_addr": "192.0.2.1"}
	audiences := pick(g.Rand, [][]string{{"vault"}, {"other"}, {"vault", "other"}, {g.api.Issuer, "vault"}, {g.api.Issuer}})
	question["audiences"] = audiences
	changes := []kubetest.Change{kubetest.Audience(audiences...)}
	if pod := pick(g.Rand, []string{"", "runner-1", "front-1"}); pod != "" {
		changes = append(changes, g.api.BoundToPod(pod))
		question["pod"] = pod
		question["node"] = g.nodes[namespace+"/"+pod]
	}
	data := fields{"jwt": g.api.Token(namespace, name, changes...)}
	if g.IntN(2) == 0 {
		role := pick(g.Rand, append(g.roles, "gone"))
		data["role"], question["role"] = role, role
	}
	g.logs.Take()
	g.log = telemetry.NewLog() // lines are limited in rate, and all are needed here
	login = g.do(logical.UpdateOperation, "login", data)
	logged = g.logs.Take()
	supposed = g.do(logical.UpdateOperation, "explain", question)
	return login, supposed, logged, fmt.Sprint(question)
}

// TestSupposeAgreesWithLogin: what is said of a service account without a token of it is
// what becomes of a real one, whatever the roles and rules.
func TestSupposeAgreesWithLogin(t *testing.T) {
	ends := map[string]int{}
	for seed := range uint64(200) {
		g := newGuesses(t, seed)
		for range 8 {
			login, supposed, logged, what := g.ask()
			if supposed.status != http.StatusOK {
				// There are no rules, and no role was named.
				if login.status != supposed.status || login.message != supposed.message {
					t.Fatalf("seed %d, %s: %d %s, the login %d %s", seed, what, supposed.status, supposed.message, login.status, login.message)
				}
				continue
			}
			got := supposed.data
			ends[fmt.Sprint(got["verdict"])]++
			if supposed.auth != nil || got["supposed"] == nil {
				t.Fatalf("seed %d, %s: %v", seed, what, got)
			}
			if (got["verdict"] == "allowed") != (login.auth != nil) {
				t.Fatalf("seed %d, %s: %v (%v), the login %d; logged %v", seed, what, got["verdict"], got["reason"], login.status, g.logs.Take())
			}
			if login.auth == nil {
				wantSupposedRefusal(t, fmt.Sprint("seed ", seed, ", ", what), got, logged)
				if want := fmt.Sprint(login.status, " ", login.message); got["client_sees"] != want {
					t.Fatalf("seed %d, %s: the client sees %v, want %s", seed, what, got["client_sees"], want)
				}
				continue
			}
			wantSupposedToken(t, fmt.Sprint("seed ", seed, ", ", what), got, login.auth)
		}
		g.Cleanup(t.Context())
	}
	t.Log(ends)
	if ends["allowed"] < 200 || ends["denied"] < 200 || ends["invalid"] == 0 {
		t.Errorf("the generator is lopsided: %v", ends)
	}
}

// ofAToken are the steps in which a login looks at its token, which a supposition has one for.
var ofAToken = []refusal.Step{refusal.StepTokenForm, refusal.StepClaims, refusal.StepSignature, refusal.StepReview, refusal.StepPosture}

// wantSupposedRefusal wants a supposition to end in the step that the login ended in, and for
// its reason, where that is not about a token.
func wantSupposedRefusal(t *testing.T, what string, got fields, logged []logtest.Line) {
	t.Helper()
	if len(logged) != 1 {
		t.Fatalf("%s: the login logged %v, want one line", what, logged)
	}
	line := logged[0].Fields
	step := fmt.Sprint(line["step"])
	ofToken := slices.Contains(ofAToken, refusal.Step(step))
	if ofToken {
		step = string(refusal.StepSupposed)
	}
	if got["failed_step"] != step || got["verdict"] != line["outcome"] || !ofToken && got["reason"] != line["reason"] {
		t.Fatalf("%s: %v in %v (%v), the login %v", what, got["verdict"], got["failed_step"], got["reason"], line)
	}
}

func wantSupposedToken(t *testing.T, what string, got fields, auth *logical.Auth) {
	t.Helper()
	var groups []string
	for _, group := range auth.GroupAliases {
		groups = append(groups, group.Name)
	}
	if listed, _ := got["group_aliases"].([]string); !slices.Equal(listed, groups) {
		t.Fatalf("%s: the groups are %q, want %q", what, listed, groups)
	}
	given := maps.Clone(auth.Metadata) // but for what names the very token, and what it is bound to
	maps.DeleteFunc(given, func(key, _ string) bool {
		return slices.Contains([]string{"pod_uid", "node_uid", "credential_id"}, key)
	})
	if !slices.Equal(got["policies"].([]string), auth.Policies) || got["alias_name"] != auth.Alias.Name || got["display_name"] != auth.DisplayName ||
		!maps.Equal(partsOf(got, "token_metadata"), given) || got["token_ttl"] != seconds(auth.TTL) {
		t.Fatalf("%s: the login gave %+v, supposed was %v", what, auth, got)
	}
}

// TestSupposeWithWhatIsGiven: labels that are given count in place of those that there
// are, and nothing is looked up for them.
func TestSupposeWithWhatIsGiven(t *testing.T) {
	m := newDemo(t, nil, fields{"selector": `serviceaccount.labels.tier == "front"`, "bound_service_account_namespaces": "none", "bound_service_account_namespace_selector": `{"matchLabels":{"env":"prod"}}`})
	ask := func(more fields) fields {
		t.Helper()
		return m.write("explain", merge(fields{"role": "demo", "service_account": "apps/web", "remote_addr": "192.0.2.1"}, more)).data
	}
	for _, account := range []string{"apps/web", "apps:web", "system:serviceaccount:apps:web"} {
		if got := ask(fields{"service_account": account}); got["verdict"] != "denied" || got["failed_step"] != "namespace" {
			t.Errorf("as things are, for %s: %v", account, got)
		}
	}
	m.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.Namespaces)
	got := ask(fields{"labels": "tier=front", "namespace_labels": "env=prod"})
	if got["verdict"] != "allowed" {
		t.Errorf("with labels that are given: %v", got)
	}
	if !strings.Contains(fmt.Sprint(got["supposed"]), `that the token is for ["vault"]`) {
		t.Errorf("what was assumed: %v", got["supposed"])
	}
	m.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.ServiceAccounts)
	got = ask(fields{"labels": "tier=front", "namespace_labels": "env=prod"})
	if got["verdict"] != "allowed" || got["alias_name"] != "" || !strings.Contains(fmt.Sprint(got["supposed"]), "its uid is not known") {
		t.Errorf("of an account that the reviewer may not get: %v", got)
	}
}

func TestSupposeRefuses(t *testing.T) {
	m := newDemo(t, nil, nil)
	token := m.token()
	for name, row := range map[string]struct {
		data    fields
		status  int
		message string
	}{
		"a token too":            {fields{"role": "demo", "jwt": token, "service_account": "apps/web"}, http.StatusBadRequest, "and not both"},
		"no namespace":           {fields{"role": "demo", "service_account": "web"}, http.StatusBadRequest, "NAMESPACE/NAME"},
		"a token by mistake":     {fields{"role": "demo", "service_account": token}, http.StatusBadRequest, "NAMESPACE/NAME"},
		"a pod and no account":   {fields{"role": "demo", "pod": "web-1", "jwt": token}, http.StatusBadRequest, "pod goes with service_account"},
		"a node without a pod":   {fields{"role": "demo", "service_account": "apps/web", "node": "n1"}, http.StatusBadRequest, "name the pod as well"},
		"an address with a port": {fields{"role": "demo", "service_account": "apps/web", "remote_addr": "192.0.2.1:80"}, http.StatusBadRequest, "without a port"},
	} {
		t.Run(name, func(t *testing.T) {
			got := m.do(logical.UpdateOperation, "explain", row.data)
			if got.status != row.status || !strings.Contains(got.message, row.message) || strings.Contains(got.message, token) {
				t.Errorf("got %d %q", got.status, got.message)
			}
		})
	}
	gone := m.write("explain", fields{"role": "demo", "service_account": "apps/gone"}).data
	if gone["verdict"] != "denied" || gone["failed_step"] != "supposed account" || gone["remedy"] == nil {
		t.Errorf("of an account that is not there: %v", gone)
	}
	m.api.Fail(kubetest.Status(http.StatusInternalServerError))
	if got := m.write("explain", fields{"role": "demo", "service_account": "apps/web"}).data; got["verdict"] != "could not ask" {
		t.Errorf("while the API server is down: %v", got)
	}
}
