package e2e

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// granting is a mount with rules whose grants are borne by the entity: a service by a
// templated policy on alias metadata, and a group by an external identity group. What a
// token has of them shows in which entries of a store it may read.
type granting struct {
	mount
	c             *cluster
	account       account
	front, runner string // tokens of two pods of the account
	store         string // path of the store
	entries       []string
}

// newGranting has the pods front and runner, and rules by which each is the service of
// its name and runner is in the group runners.
func newGranting(t *testing.T) *granting {
	t.Helper()
	c := mainCluster(t)
	g := &granting{c: c, account: c.newAccount(t, "", "web", nil), mount: newRuleMount(t, nil), entries: []string{"front", "runner", "team", "ops"}}
	front, frontPod := c.newPodToken(t, g.account)
	runner, runnerPod := c.newPodToken(t, g.account)
	g.front, g.runner = front, runner
	g.store = "kv-" + g.path
	must(t, http.MethodPost, "sys/mounts/"+g.store, fields{"type": "kv"})
	for _, entry := range g.entries {
		must(t, http.MethodPost, g.store+"/"+entry, fields{"value": entry})
	}
	accessor := must(t, http.MethodGet, "sys/auth/"+g.path, nil).data()["accessor"].(string)
	g.policy(t, "templated", fmt.Sprintf("%s/{{identity.entity.aliases.%s.metadata.consul_service}}", g.store, accessor))
	g.policy(t, "custom", fmt.Sprintf("%s/{{identity.entity.aliases.%s.custom_metadata.team}}", g.store, accessor))
	g.policy(t, "team", g.store+"/team")
	group := must(t, http.MethodPost, "identity/group", fields{"name": g.path, "type": "external", "policies": g.path + "-team"}).data()["id"]
	must(t, http.MethodPost, "identity/group-alias", fields{"name": "runners", "mount_accessor": accessor, "canonical_id": group})
	for name, rule := range map[string][3]string{
		"all":            {"", "policy", g.path + "-templated"},
		"custom":         {"", "policy", g.path + "-custom"},
		"front-service":  {fmt.Sprintf("pod.name == %q", frontPod), "service", "front"},
		"runner-service": {fmt.Sprintf("pod.name == %q", runnerPod), "service", "runner"},
		"runner-group":   {fmt.Sprintf("pod.name == %q", runnerPod), "group", "runners"},
	} {
		g.rule(t, name, rule)
	}
	g.must(t, http.MethodPost, "role/app", g.role(fields{"audience": audience, "token_policies": []string{g.path + "-templated", g.path + "-custom"}}))
	return g
}

func (g *granting) rule(t *testing.T, name string, rule [3]string) {
	t.Helper()
	g.must(t, http.MethodPost, "binding-rule/"+name, fields{"selector": cmp.Or(rule[0], "*"), "bind_type": rule[1], "bind_name": rule[2]})
}

// role is one that binds the account.
func (g *granting) role(changes fields) fields {
	return with(fields{"bound_service_account_names": g.account.name, "bound_service_account_namespaces": g.account.namespace}, changes)
}

func (g *granting) policy(t *testing.T, name, path string) {
	t.Helper()
	must(t, http.MethodPost, "sys/policies/acl/"+g.path+"-"+name, fields{"policy": fmt.Sprintf(`path "%s" { capabilities = ["read"] }`, path)})
}

// logIn returns the Vault token of a login by rules, or under a role.
func (g *granting) logIn(t *testing.T, role, jwt string) string {
	t.Helper()
	if role != "" {
		return g.issue(t, role, jwt)
	}
	a := g.login(t, fields{"jwt": jwt})
	token, _ := a.auth()["client_token"].(string)
	if token == "" {
		t.Fatalf("no token: %v", a)
	}
	return secret("Vault token", token)
}

// wantReads checks that a token reads just these entries.
func (g *granting) wantReads(t *testing.T, when, token string, want ...string) {
	t.Helper()
	var got []string
	for _, entry := range g.entries {
		if g.server.sendAs(t, token, http.MethodGet, g.store+"/"+entry, nil).Status == http.StatusOK {
			got = append(got, entry)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s it reads %q, want %q", when, got, want)
	}
}

func wantRenewed(t *testing.T, token string) {
	t.Helper()
	if a := renew(t, token, 0); a.Status != http.StatusOK {
		t.Errorf("renewal: %v", a)
	}
}

// TestGrantsHold has the pods of one account log in by rules in both orders, and the
// account under a role before and after, with renewals of each: a token has what its own
// login was granted, and nothing else.
func TestGrantsHold(t *testing.T) {
	t.Parallel()
	type person struct {
		role  string
		jwt   func(g *granting) string
		reads []string
	}
	front := person{"", func(g *granting) string { return g.front }, []string{"front"}}
	runner := person{"", func(g *granting) string { return g.runner }, []string{"runner", "team"}}
	role := person{"app", func(g *granting) string { return g.runner }, nil}
	for name, pair := range map[string][2]person{
		"front, then runner": {front, runner},
		"runner, then front": {runner, front},
		"role, then rules":   {role, runner},
		"rules, then role":   {runner, role},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGranting(t)
			first, second := pair[0], pair[1]
			older := g.logIn(t, first.role, first.jwt(g))
			g.wantReads(t, "alone", older, first.reads...)
			newer := g.logIn(t, second.role, second.jwt(g))
			look := func(when string) {
				t.Helper()
				g.wantReads(t, when+", the older token:", older, first.reads...)
				g.wantReads(t, when+", the newer token:", newer, second.reads...)
			}
			look("after the newer login")
			wantRenewed(t, older)
			look("after a renewal of the older")
			wantRenewed(t, newer)
			look("after a renewal of the newer")
			g.wantReads(t, "again", g.logIn(t, first.role, first.jwt(g)), first.reads...)
			look("after one more login like the older")
		})
	}
}

// TestGrantsHoldAsRulesChange takes rules away and adds some between logins: a token
// that was issued before neither gains nor loses by logins that come later.
func TestGrantsHoldAsRulesChange(t *testing.T) {
	t.Parallel()
	g := newGranting(t)
	front, runner := g.logIn(t, "", g.front), g.logIn(t, "", g.runner)
	g.must(t, http.MethodDelete, "binding-rule/runner-group", nil)
	g.rule(t, "front-group", [3]string{`not pod.name is empty`, "group", "runners"})
	g.rule(t, "runner-service", [3]string{"", "service", "other"})
	g.logIn(t, "", g.front)
	g.logIn(t, "", g.runner)
	g.wantReads(t, "after rules changed, the older token of front:", front, "front")
	g.wantReads(t, "after rules changed, the older token of runner:", runner, "runner", "team")
	for _, token := range []string{front, runner} {
		if a := renew(t, token, 0); a.Status != http.StatusBadRequest || !strings.Contains(strings.Join(a.errors(), " "), "grant something else") {
			t.Errorf("renewal by other rules: %v", a)
		}
	}
	g.wantReads(t, "after a renewal that was refused,", front, "front")
	g.wantReads(t, "after a renewal that was refused,", runner, "runner", "team")
}

// TestAliasMetadataIsOfTheRole has a role whose logins have custom metadata: a token by
// rules reads nothing by it, in either order.
func TestAliasMetadataIsOfTheRole(t *testing.T) {
	t.Parallel()
	for _, rulesFirst := range []bool{false, true} {
		g := newGranting(t)
		g.must(t, http.MethodPost, "role/app", fields{"alias_metadata": fields{"team": "ops"}})
		jwt := g.c.newToken(t, g.account, audience)
		var byRules string
		if rulesFirst {
			byRules = g.logIn(t, "", jwt)
		}
		byRole := g.logIn(t, "app", jwt)
		if !rulesFirst {
			byRules = g.logIn(t, "", jwt)
		}
		g.wantReads(t, "by the role", byRole, "ops")
		g.wantReads(t, "by rules", byRules)
	}
}

// TestRenewalFromElsewhere renews tokens of rules that bind roles for some addresses:
// what counted at login counts at renewal, wherever it comes from.
func TestRenewalFromElsewhere(t *testing.T) {
	t.Parallel()
	g := newGranting(t)
	g.must(t, http.MethodPost, "role/here", g.role(fields{"token_bound_cidrs": "127.0.0.1/32", "token_policies": "here"}))
	g.must(t, http.MethodPost, "role/there", g.role(fields{"token_bound_cidrs": "10.0.0.0/8,127.0.0.2/32", "token_policies": "there"}))
	g.rule(t, "here", [3]string{"", "role", "here"})
	g.rule(t, "there", [3]string{"", "role", "there"})
	token := g.logIn(t, "", g.front)
	wantRenewed(t, token)
	elsewhere := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext,
	}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.server.Addr+"/v1/auth/token/renew", bodyReader(t, fields{"token": token}))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Vault-Token", g.server.RootToken)
	response, err := elsewhere.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("renewed from another address: %d", response.StatusCode)
	}
	g.must(t, http.MethodPost, "role/here", fields{"token_bound_cidrs": "10.0.0.0/8"})
	if a := renew(t, token, 0); a.Status != http.StatusBadRequest {
		t.Errorf("renewed although the role is not for the address of the login any more: %v", a)
	}
}
