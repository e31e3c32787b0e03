package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/consulacl"
	"vault-plugin-auth-kubernetes/internal/consultest"
	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/login"
	"vault-plugin-auth-kubernetes/internal/metadata"
	"vault-plugin-auth-kubernetes/internal/rules"
)

// consulMount is a mount with a Consul, and rules for what the service account web gets.
type consulMount struct {
	*mount
	consul *consultest.Server
	jwt    string
}

func newConsulMount(t *testing.T, config fields) *consulMount {
	t.Helper()
	c := &consulMount{mount: newRules(t, config), consul: consultest.New(t)}
	c.write("consul/config", fields{"address": c.consul.URL, "token": consultest.OwnToken})
	c.rule("service", `serviceaccount.namespace == "apps"`, "consul-service", "${serviceaccount.name}")
	c.jwt = c.token()
	return c
}

// rawAnswer is what a client of Consul's sees.
type rawAnswer struct {
	status int
	body   string
	token  consulacl.Token
}

func rawOf(t *testing.T, response *logical.Response, err error) rawAnswer {
	t.Helper()
	if err != nil || response == nil || response.Auth != nil || response.Secret != nil {
		t.Fatalf("not a raw answer: %+v, %v", response, err)
	}
	body, ok := response.Data[logical.HTTPRawBody].([]byte)
	if !ok {
		t.Fatalf("not a raw answer: %+v", response.Data)
	}
	a := rawAnswer{status: response.Data[logical.HTTPStatusCode].(int), body: string(body)}
	if a.status == http.StatusOK && strings.HasPrefix(a.body, "{") {
		if err := json.Unmarshal(body, &a.token); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func (c *consulMount) request(operation logical.Operation, path string, data fields) *logical.Request {
	return &logical.Request{
		Operation: operation, Path: path, Data: maps.Clone(data), Storage: c.storage, MountPoint: "auth/kubernetes/",
		Connection: &logical.Connection{RemoteAddr: "192.0.2.1"},
	}
}

func (c *consulMount) consulLogin(data fields) rawAnswer {
	c.t.Helper()
	response, err := c.HandleRequest(c.t.Context(), c.request(logical.UpdateOperation, consulLoginPath, merge(fields{"AuthMethod": "kubernetes", "BearerToken": c.jwt}, data)))
	return rawOf(c.t.(*testing.T), response, err)
}

func (c *consulMount) consulLogout(secret string) rawAnswer {
	c.t.Helper()
	request := c.request(logical.UpdateOperation, consulLogoutPath, nil)
	request.Headers = map[string][]string{"X-Consul-Token": {secret}}
	response, err := c.HandleRequest(c.t.Context(), request)
	return rawOf(c.t.(*testing.T), response, err)
}

func TestConsulLogin(t *testing.T) {
	c := newConsulMount(t, nil)
	c.consul.Add([]string{"ops"}, []string{"kv"})
	c.rule("role", `serviceaccount.name == "web"`, "consul-role", "ops")
	c.rule("role-missing", "", "consul-role", "gone")
	c.rule("policy", "", "consul-policy", "kv")
	c.rule("node", "", "consul-node", "k8s-${serviceaccount.namespace}")
	c.rule("vault", "", "policy", "of-vault")
	puts := c.storage.writes.Load()
	a := c.consulLogin(fields{"Meta": fields{"pod": "web-1"}})
	if a.status != http.StatusOK || a.token.SecretID == "" || a.token.AuthMethod != "kubernetes" || !a.token.Local || a.token.Description != `token created via login: {"pod":"web-1"}` {
		t.Fatalf("%d %s", a.status, a.body)
	}
	want := consulacl.Privileges{
		Roles: []consulacl.Link{{Name: "ops"}}, Policies: []consulacl.Link{{Name: "kv"}},
		ServiceIdentities: []consulacl.ServiceIdentity{{ServiceName: "web"}},
		NodeIdentities:    []consulacl.NodeIdentity{{NodeName: "k8s-apps", Datacenter: "dc1"}},
	}
	if got := fmt.Sprintf("%+v", a.token.Privileges); got != fmt.Sprintf("%+v", want) {
		t.Errorf("it may do %s, want %+v", got, want)
	}
	if ttl := a.token.ExpirationTime.Sub(a.token.CreateTime); ttl != time.Hour {
		t.Errorf("it lasts %s", ttl)
	}
	if now := c.storage.writes.Load(); now != puts {
		t.Errorf("a login wrote to storage %d times", now-puts)
	}
	// What is for Consul is nothing to Vault.
	if auth := c.mustLoginByRules(c.jwt); !slices.Equal(auth.Policies, []string{"of-vault"}) || auth.Metadata[metadata.ConsulService] != "" {
		t.Errorf("a Vault token gets %q, %v", auth.Policies, auth.Metadata)
	}
	if a := c.consulLogout(a.token.SecretID); a.status != http.StatusOK || strings.TrimSpace(a.body) != "true" {
		t.Errorf("logout: %d %s", a.status, a.body)
	}
	if left := c.consul.Tokens(); len(left) != 0 {
		t.Errorf("left are %+v", left)
	}
}

// A role that stands for the binding rules is an auth method, by both doors and to explain:
// what the rules give, to those whom the role is for. Other roles are none.
func TestConsulLoginNamesARole(t *testing.T) {
	c := newConsulMount(t, nil)
	c.write("role/shops", fields{"use_binding_rules": true, "bound_service_account_names": "*", "bound_service_account_namespaces": "apps"})
	c.write("role/others", fields{"use_binding_rules": true, "bound_service_account_names": "*", "bound_service_account_namespaces": "other"})
	c.write("role/audience", fields{"use_binding_rules": true, "bound_service_account_names": "*", "bound_service_account_namespaces": "*", "audience": "another"})
	for method, row := range map[string]struct {
		status, leaseStatus int
		says, leaseSays     string
	}{
		"kubernetes":  {status: 200, leaseStatus: 200},
		"shops":       {status: 200, leaseStatus: 200},
		"Shops":       {status: 200, leaseStatus: 200}, // as Vault takes the names of roles
		"others":      {403, 403, consulDenied, "permission denied"},
		"audience":    {403, 403, consulDenied, "permission denied"},
		"demo":        {403, 400, consulUnknown, login.ErrUnknownMethod.Error()}, // decides by itself
		"gone":        {403, 400, consulUnknown, login.ErrUnknownMethod.Error()},
		"no..name":    {403, 400, consulUnknown, login.RelativePath},
		"kubernetes2": {403, 400, consulUnknown, login.ErrUnknownMethod.Error()},
	} {
		t.Run(method, func(t *testing.T) {
			a := c.consulLogin(fields{"AuthMethod": method})
			if a.status != row.status || row.says != "" && a.body != row.says || row.status == 200 && a.token.AuthMethod != method {
				t.Errorf("as at a Consul: %d %s", a.status, a.body)
			}
			if o := c.do(logical.UpdateOperation, consulTokenPath+method, fields{"jwt": c.jwt}); o.status != row.leaseStatus || o.message != row.leaseSays {
				t.Errorf("with a lease: %d %q", o.status, o.message)
			}
			o := c.do(logical.UpdateOperation, "explain", fields{"jwt": c.jwt, "consul": true, "role": method})
			if allowed := o.data["verdict"] == "allowed"; allowed != (row.status == 200) || !allowed && o.data["client_sees"] != "403 "+row.says {
				t.Errorf("explain: %v", o.data)
			}
		})
	}
}

// Where there are rules for Consul only, a Vault login without a role is what it is
// without rules.
func TestConsulRulesAreNoVaultRules(t *testing.T) {
	c := newConsulMount(t, nil)
	if o := c.loginByRules(c.jwt); o.status != http.StatusBadRequest || o.message != "missing role" {
		t.Errorf("%d %s", o.status, o.message)
	}
	if o := c.do(logical.DeleteOperation, rules.Prefix+"service", nil); o.status != http.StatusOK {
		t.Fatal(o.message)
	}
	c.rule("vault", "", "service", "web")
	if a := c.consulLogin(nil); a.status != http.StatusForbidden || len(c.consul.Tokens()) != 0 {
		t.Errorf("a rule for Vault tokens gives a Consul token: %d %s", a.status, a.body)
	}
}

func TestConsulLoginRefusals(t *testing.T) {
	for name, row := range map[string]struct {
		prepare func(c *consulMount)
		data    fields
		status  int
		says    string // all that the client reads
	}{
		"another auth method":  {nil, fields{"AuthMethod": "minikube"}, 403, consulUnknown},
		"no auth method":       {nil, fields{"AuthMethod": nil}, 403, consulUnknown},
		"no token":             {nil, fields{"BearerToken": nil}, 403, consulDenied},
		"no such key":          {nil, fields{"Authmethod2": "x"}, 400, `Failed to decode request body: there is no key "Authmethod2"`},
		"too much meta":        {nil, fields{"Meta": fields{"k": strings.Repeat("v", 5000)}}, 400, "meta has more than 64 pairs, or more than 4096 bytes"},
		"nothing is bound":     {func(c *consulMount) { c.jwt = c.api.Token("other", "web", kubetest.Audience("vault")) }, nil, 403, consulDenied},
		"a forged token":       {func(c *consulMount) { c.jwt = c.token(kubetest.SignedWith(kubetest.NewRSAKey())) }, nil, 403, consulDenied},
		"another audience":     {func(c *consulMount) { c.jwt = c.api.Token("apps", "web", kubetest.Audience("another")) }, nil, 403, consulDenied},
		"an invalid name":      {func(c *consulMount) { c.rule("bad", "", "consul-service", "${serviceaccount.annotations.none}") }, nil, 403, consulDenied},
		"only what is missing": {func(c *consulMount) { c.rule("service", "", "consul-role", "gone") }, nil, 403, consulDenied},
		"no Consul":            {func(c *consulMount) { c.do(logical.DeleteOperation, "consul/config", nil) }, nil, 401, consulOff},
		"Consul is down":       {func(c *consulMount) { c.consul.Close() }, nil, 503, consulUnreachable},
		"own token gone":       {func(c *consulMount) { c.consul.SetOwn("another") }, nil, 503, consulUnreachable},
		"own token weak":       {func(c *consulMount) { c.weakToken() }, nil, 503, consulUnreachable},
		"Kubernetes is down":   {func(c *consulMount) { c.api.Close() }, nil, 503, consulUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			c := newConsulMount(t, fields{"request_timeout": 1})
			c.api.AddServiceAccount("other", "web")
			if row.prepare != nil {
				row.prepare(c)
			}
			if a := c.consulLogin(row.data); a.status != row.status || a.body != row.says {
				t.Errorf("%d %q, want %d %q; logged %v", a.status, a.body, row.status, row.says, c.logs.Take())
			}
			for _, token := range c.consul.Tokens() {
				if token.SecretID != consultest.OwnToken {
					t.Errorf("it left %+v", token)
				}
			}
		})
	}
}

// No token that somebody made up reaches Consul, at whichever door.
func TestConsulHearsNothingOfForgedTokens(t *testing.T) {
	c := newConsulMount(t, nil)
	another := kubetest.NewRSAKey()
	c.consul.Requests()
	for i := range 200 {
		forged := c.token(kubetest.SignedWith(another))
		if i%2 == 0 {
			forged = forged[:len(forged)-1-i/2]
		}
		if a := c.consulLogin(fields{"BearerToken": forged}); a.status != http.StatusForbidden {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if a := c.consulLogout(consulacl.NewUUID()); a.status != http.StatusForbidden {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if o := c.do(logical.UpdateOperation, "consul/token/kubernetes", fields{"jwt": forged}); o.status != http.StatusForbidden {
			t.Fatalf("%d %s", o.status, o.message)
		}
	}
	if asked := c.consul.Requests(); len(asked) != 0 {
		t.Errorf("Consul was asked %q", asked)
	}
}

// Vault looks ahead at logins, and resolves roles for its quotas, before and beside them:
// nothing but a login makes a token.
func TestConsulLookAheadMakesNothing(t *testing.T) {
	c := newConsulMount(t, nil)
	c.consul.Requests()
	for _, operation := range []logical.Operation{
		logical.AliasLookaheadOperation, logical.ResolveRoleOperation, logical.ReadOperation, logical.HelpOperation, logical.ListOperation,
		logical.RollbackOperation, logical.DeleteOperation,
	} {
		for _, path := range []string{consulLoginPath, "consul/token/kubernetes"} {
			if path != consulLoginPath && operation == logical.ReadOperation {
				continue // that is how a lease is asked for
			}
			_, _ = c.HandleRequest(t.Context(), c.request(operation, path, fields{"AuthMethod": "kubernetes", "BearerToken": c.jwt, "jwt": c.jwt}))
		}
	}
	if asked := c.consul.Requests(); len(asked) != 0 || len(c.consul.Tokens()) != 0 {
		t.Errorf("Consul was asked %q", asked)
	}
}

// Logins by rules go through binding_rule_role, whatever the token is for.
func TestConsulLoginGoesThroughTheRuleRole(t *testing.T) {
	c := newConsulMount(t, nil)
	c.write("role/all", fields{"only_by_binding_rules": true, "selector": `serviceaccount.name != "web"`})
	c.write("config", merge(c.config(nil), fields{"binding_rule_role": "all"}))
	if a := c.consulLogin(nil); a.status != http.StatusForbidden {
		t.Errorf("%d %s", a.status, a.body)
	}
	c.write("role/all", fields{"selector": `serviceaccount.name == "web"`})
	if a := c.consulLogin(nil); a.status != http.StatusOK {
		t.Errorf("%d %s; logged %v", a.status, a.body, c.logs.Take())
	}
}

func TestConsulLogoutOfOthers(t *testing.T) {
	c, other := newConsulMount(t, nil), newConsulMount(t, nil)
	byHand := consulacl.Token{AccessorID: consulacl.NewUUID(), SecretID: consulacl.NewUUID()}
	c.consul.Put(byHand)
	for name, secret := range map[string]string{"made by hand": byHand.SecretID, "the plugin's own": consultest.OwnToken, "of another mount": other.consulLogin(nil).token.SecretID} {
		if a := c.consulLogout(secret); a.status != http.StatusForbidden || a.body != consulNotLogin {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := c.consulLogout(""); a.status != http.StatusForbidden || a.body != consulUnknown {
		t.Errorf("without a token: %d %s", a.status, a.body)
	}
	made := c.consulLogin(nil).token
	c.consul.Delete(made.AccessorID)
	if a := c.consulLogout(made.SecretID); a.status != http.StatusOK {
		t.Errorf("one that is gone is not logged out: %d %s", a.status, a.body)
	}
	if left := c.consul.Tokens(); len(left) != 1 {
		t.Errorf("left are %+v", left)
	}
}

// entitySystem is a host that knows entities.
type entitySystem struct {
	logical.StaticSystemView
	entities map[string]*logical.Entity
}

func (s entitySystem) EntityInfo(id string) (*logical.Entity, error) {
	if e := s.entities[id]; e != nil {
		return e, nil
	}
	return nil, errors.New("no such entity")
}

func (c *consulMount) knowEntity(id, accessor string, about map[string]string) {
	c.t.Helper()
	system := entitySystem{StaticSystemView: *logical.TestSystemView(), entities: map[string]*logical.Entity{
		id: {ID: id, Aliases: []*logical.Alias{{MountAccessor: accessor, Metadata: about}}},
	}}
	system.MaxLeaseTTLVal = maxLease
	if err := c.Setup(c.t.Context(), &logical.BackendConfig{Logger: c.logs, System: system, StorageView: c.storage}); err != nil {
		c.t.Fatal(err)
	}
}

// lease asks for a token with a lease.
func (c *consulMount) lease(operation logical.Operation, entity string, data fields) (*logical.Secret, outcomeOfLease) {
	c.t.Helper()
	request := c.request(operation, "consul/token/kubernetes", data)
	request.EntityID = entity
	response, err := c.HandleRequest(c.t.Context(), request)
	o := outcomeOfLease{err: err}
	if response != nil && response.IsError() {
		o.err = response.Error()
	}
	if response == nil || response.Secret == nil {
		return nil, o
	}
	o.data = response.Data
	return response.Secret, o
}

type outcomeOfLease struct {
	err  error
	data fields
}

func (c *consulMount) ofLease(operation logical.Operation, secret *logical.Secret) (*logical.Response, error) {
	request := c.request(operation, "consul/token/kubernetes", nil)
	request.Secret = secret
	return c.HandleRequest(c.t.Context(), request)
}

func TestConsulLease(t *testing.T) {
	c := newConsulMount(t, nil)
	secret, o := c.lease(logical.UpdateOperation, "", fields{"jwt": c.jwt, "ttl": 600})
	if secret == nil || secret.TTL != 10*time.Minute || secret.MaxTTL <= 59*time.Minute || secret.MaxTTL > time.Hour || !secret.Renewable {
		t.Fatalf("%+v, %v", secret, o.err)
	}
	tokens := c.consul.Tokens()
	if len(tokens) != 1 || o.data["token"] != tokens[0].SecretID || o.data["accessor"] != tokens[0].AccessorID || !slices.Equal(o.data["service_identities"].([]string), []string{"web"}) {
		t.Fatalf("%+v of %+v", o.data, tokens)
	}
	if text := fmt.Sprint(secret.InternalData); strings.Contains(text, tokens[0].SecretID) {
		t.Errorf("the lease knows the token itself: %s", text)
	}

	secret.Increment, secret.IssueTime = 2*time.Hour, time.Now()
	response, err := c.ofLease(logical.RenewOperation, secret)
	if err != nil || response.Secret == nil || response.Secret.TTL > time.Hour || response.Secret.TTL < 59*time.Minute || len(response.Warnings) != 1 {
		t.Errorf("renewal: %+v, %v", response, err)
	}

	for range 2 { // the second time it is gone, and gone is revoked
		if response, err := c.ofLease(logical.RevokeOperation, secret); err != nil || response != nil && response.IsError() {
			t.Errorf("revocation: %+v, %v", response, err)
		}
	}
	if left := c.consul.Tokens(); len(left) != 0 {
		t.Errorf("left are %+v", left)
	}
	if response, err := c.ofLease(logical.RenewOperation, secret); err != nil || !response.IsError() {
		t.Errorf("a token that is gone is renewed: %+v, %v", response, err)
	}
}

// While Consul is down a lease is not revoked, and Vault tries again; once the token has
// expired it is.
func TestConsulLeaseWhileConsulIsDown(t *testing.T) {
	c := newConsulMount(t, nil)
	secret, _ := c.lease(logical.UpdateOperation, "", fields{"jwt": c.jwt})
	secret.IssueTime = time.Now()
	c.consul.SetFault(func(string) consultest.Fault { return consultest.Fault{Status: 500, Body: "No cluster leader"} })
	if _, err := c.ofLease(logical.RevokeOperation, secret); err == nil {
		t.Error("it passes for revoked")
	}
	if response, err := c.ofLease(logical.RenewOperation, secret); err != nil || response.IsError() {
		t.Errorf("an outage takes away a token that is good: %+v, %v", response, err)
	}
	c.now = func() time.Time { return time.Now().Add(61 * time.Minute) }
	if response, err := c.ofLease(logical.RenewOperation, secret); err != nil || !response.IsError() {
		t.Errorf("a token that has expired is renewed: %+v, %v", response, err)
	}
	c.now = func() time.Time { return time.Now().Add(66 * time.Minute) }
	if _, err := c.ofLease(logical.RevokeOperation, secret); err != nil {
		t.Errorf("a token that has expired is not revoked for ever: %v", err)
	}
	c.now = time.Now
	c.consul.SetFault(nil)
	if o := c.do(logical.DeleteOperation, "consul/config", nil); o.status != http.StatusOK {
		t.Fatal(o.message)
	}
	if _, err := c.ofLease(logical.RevokeOperation, secret); err == nil {
		t.Error("without a configuration it passes for revoked")
	}
}

// Who has a Vault token of the mount gets the Consul token of its service account, as long
// as there is that account, and nobody else's.
func TestConsulLeaseByEntity(t *testing.T) {
	account := func(c *consulMount, uid string) map[string]string {
		return map[string]string{metadata.Namespace: "apps", metadata.Name: "web", metadata.UID: uid}
	}
	c := newConsulMount(t, nil)
	uid := c.mustUID()
	c.knowEntity("e1", "auth_kubernetes_1", account(c, uid))
	if secret, o := c.lease(logical.ReadOperation, "e1", nil); secret != nil || o.err == nil {
		t.Errorf("without mount_accessor it gets %+v", o.data)
	}
	c.write("consul/config", fields{"mount_accessor": "auth_kubernetes_1"})
	if secret, o := c.lease(logical.ReadOperation, "e1", nil); secret == nil || !slices.Equal(o.data["service_identities"].([]string), []string{"web"}) {
		t.Fatalf("%+v, %v", o.data, o.err)
	}
	for name, row := range map[string]struct{ entity, accessor, uid string }{
		"no entity":            {"", "auth_kubernetes_1", uid},
		"another entity":       {"e2", "auth_kubernetes_1", uid},
		"of another mount":     {"e1", "auth_kubernetes_2", uid},
		"account made anew":    {"e1", "auth_kubernetes_1", "another"},
		"without what it is":   {"e1", "auth_kubernetes_1", ""},
		"accessor that is not": {"e1", "", uid},
	} {
		t.Run(name, func(t *testing.T) {
			c.knowEntity("e1", row.accessor, account(c, row.uid))
			c.consul.Requests()
			if secret, o := c.lease(logical.ReadOperation, row.entity, nil); secret != nil || o.err == nil {
				t.Errorf("it gets %+v", o.data)
			}
			if asked := c.consul.Requests(); len(asked) != 0 {
				t.Errorf("Consul was asked %q", asked)
			}
		})
	}
}

// mustUID is the uid of the service account web.
func (c *consulMount) mustUID() string {
	c.t.Helper()
	c.write("role/demo", c.role(nil))
	return c.mustLogin(c.token()).Metadata[metadata.UID]
}

func TestConsulConfig(t *testing.T) {
	c := newConsulMount(t, nil)
	read := c.read("consul/config")
	for field, want := range map[string]any{"address": c.consul.URL, "token_set": true, "max_token_ttl": int64(3600), "auth_method": "kubernetes", "token_locality": "local"} {
		if read[field] != want {
			t.Errorf("%s is %v, want %v", field, read[field], want)
		}
	}
	if text := fmt.Sprint(read); strings.Contains(text, consultest.OwnToken) {
		t.Errorf("the token is returned: %s", text)
	}
	if o := c.do(logical.UpdateOperation, "consul/config", read); o.status != http.StatusOK || fmt.Sprint(c.read("consul/config")) != fmt.Sprint(read) {
		t.Errorf("what was read cannot be written: %d %s", o.status, o.message)
	}
	c.write("consul/config", fields{"max_token_ttl": "5m", "token_locality": "global"})
	if made := c.consulLogin(nil).token; made.Local || made.ExpirationTime.Sub(made.CreateTime) != 5*time.Minute {
		t.Errorf("made %+v", made)
	}
	if o := c.do(logical.PatchOperation, "consul/config", fields{"max_token_ttl": nil, "auth_method": "k8s"}); o.status != http.StatusOK {
		t.Fatal(o.message)
	}
	if a := c.consulLogin(fields{"AuthMethod": "k8s"}); a.status != http.StatusOK || a.token.ExpirationTime.Sub(a.token.CreateTime) != time.Hour || a.token.Local {
		t.Errorf("%d %s", a.status, a.body)
	}
	for name, data := range map[string]fields{
		"another server":  {"address": "https://evil.example:8501"},
		"no such field":   {"addrs": "x"},
		"no scheme":       {"address": "consul:8500", "token": "t"},
		"short":           {"max_token_ttl": "10s"},
		"rules of a kind": {"namespace_rules": `[{"Selector":"x"}]`},
	} {
		if o := c.do(logical.UpdateOperation, "consul/config", data); o.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, o.status, o.message)
		}
	}
	if got := c.read("consul/config")["address"]; got != c.consul.URL {
		t.Errorf("the address is %v", got)
	}
}

func TestConsulNamespaces(t *testing.T) {
	c := newConsulMount(t, fields{"map_namespaces": true, "consul_namespace_prefix": "k8s-"})
	if a := c.consulLogin(nil); a.status != http.StatusOK {
		t.Errorf("a Consul without namespaces is sent one: %d %s", a.status, a.body)
	}
	c.write("consul/config", fields{"namespace": "default"})
	named := func(want string) {
		t.Helper()
		c.consulLogin(nil) // this Consul refuses it
		bodies := c.consul.Bodies()
		if body := bodies[len(bodies)-1]; !strings.Contains(body, `"Namespace":"`+want+`"`) {
			t.Errorf("asked for %s, want the namespace %s", body, want)
		}
	}
	named("k8s-apps")
	c.write("consul/config", fields{"namespace_rules": []any{
		fields{"selector": `serviceaccount.namespace == "other"`, "bind_namespace": "first"},
		fields{"selector": "", "bind_namespace": "ns-${serviceaccount.namespace}"},
	}})
	named("ns-apps")
}

func TestConsulRotate(t *testing.T) {
	c := newConsulMount(t, nil)
	c.consul.Add(nil, []string{"global-management"})
	c.consul.Put(consulacl.Token{
		AccessorID: consulacl.NewUUID(), SecretID: consultest.OwnToken,
		Privileges: consulacl.Privileges{Policies: []consulacl.Link{{Name: "global-management"}}},
	})
	if o := c.do(logical.UpdateOperation, "consul/rotate", nil); o.status != http.StatusOK {
		t.Fatalf("%d %s", o.status, o.message)
	}
	tokens := c.consul.Tokens()
	if len(tokens) != 1 || tokens[0].SecretID == consultest.OwnToken {
		t.Errorf("tokens %+v", tokens)
	}
	if a := c.consulLogin(nil); a.status != http.StatusOK {
		t.Errorf("after it: %d %s; logged %v", a.status, a.body, c.logs.Take())
	}
}

// An imported method gives the Consul tokens that it gave, once the mount has the Consul.
func TestImportForConsul(t *testing.T) {
	c := newConsulMount(t, nil)
	c.do(logical.DeleteOperation, rules.Prefix+"service", nil)
	c.write("config", merge(c.config(nil), fields{"binding_rule_audiences": ""}))
	done := c.do(logical.UpdateOperation, "import/consul", fields{
		"auth_method": c.consulMethod(), "binding_rules": "[" + consulRule("a1", "serviceaccount.namespace==apps", "service", "${serviceaccount.name}") + "," +
			consulRule("a2", "", "role", "missing") + "," + consulRule("a3", "", "policy", "a/b") + "]",
		"skip_unsupported_rules": true,
	})
	if done.status != http.StatusOK || fmt.Sprint(done.data["consul_config"]) != "[auth_method=k8s max_token_ttl=1h]" {
		t.Fatalf("%d %s, %v", done.status, done.message, done.data)
	}
	if left := fmt.Sprint(linesOf(done.data, "not_carried_over")); !strings.Contains(left, "consul-a3") {
		t.Errorf("not carried over: %s", left)
	}
	c.write("consul/config", fields{"auth_method": "k8s"})
	c.jwt = c.api.Token("apps", "web")
	a := c.consulLogin(fields{"AuthMethod": "k8s"})
	if a.status != http.StatusOK || len(a.token.ServiceIdentities) != 1 || a.token.ServiceIdentities[0].ServiceName != "web" || len(a.token.Roles) != 0 {
		t.Errorf("%d %s; logged %v", a.status, a.body, c.logs.Take())
	}
	for _, options := range []fields{{"policy_prefix": "x-"}, {"tokens": "nomad"}, {"tokens": ""}} {
		o := c.do(logical.UpdateOperation, "import/consul", merge(fields{"auth_method": c.consulMethod(), "binding_rules": "[]"}, options))
		if o.status != http.StatusBadRequest {
			t.Errorf("%v: %d %s", options, o.status, o.message)
		}
	}
}

// check tells each way apart in which no Consul token can be made.
func TestCheckOfConsul(t *testing.T) {
	for name, row := range map[string]struct {
		prepare func(c *consulMount)
		check   string
		says    string
	}{
		"all is well": {nil, "consul", "pass: "},
		"may":         {nil, "consul_permission", "pass: "},
		"names":       {nil, "consul_names", "pass: 1 rules"},
		"no Consul":   {func(c *consulMount) { c.do(logical.DeleteOperation, "consul/config", nil) }, "consul", "skip: there is no consul/config"},
		"down":        {func(c *consulMount) { c.consul.Close() }, "consul", "fail: read own token: consul unreachable"},
		"wrong CA": {func(c *consulMount) {
			c.write("consul/config", fields{"address": consultest.NewTLS(c.t).URL, "token": "t"})
		}, "consul", "fail: read own token: consul tls"},
		"token gone":        {func(c *consulMount) { c.consul.SetOwn("another") }, "consul", "fail: read own token: consul token unknown"},
		"ACLs off":          {func(c *consulMount) { c.consulFails(401, "ACL support disabled") }, "consul", "fail: read own token: consul acls disabled"},
		"no Consul at all":  {func(c *consulMount) { c.consulFails(404, "not found") }, "consul", "fail: read own token: consul not found"},
		"old for its TTL":   {func(c *consulMount) { c.write("consul/config", fields{"max_token_ttl": "48h"}) }, "consul", "fail: max_token_ttl is 48h0m0s, and Consul 1.14.11 takes"},
		"may not":           {func(c *consulMount) { c.weakToken() }, "consul_permission", "fail: the plugin's own token may not write ACLs"},
		"names are missing": {func(c *consulMount) { c.rule("r", "", "consul-role", "gone") }, "consul_names", `warn: Consul does not have the role "gone"`},
		"no rule":           {func(c *consulMount) { c.do(logical.DeleteOperation, rules.Prefix+"service", nil) }, "consul_names", "warn: no binding rule"},
		"old for templates": {func(c *consulMount) {
			c.rule("t", "", "consul-templated-policy", "builtin/dns")
		}, "consul_names", "fail: rules have the bind type consul-templated-policy, which Consul 1.14.11"},
		"Kubernetes is down": {func(c *consulMount) { c.api.Close() }, "consul", "pass: "},
	} {
		t.Run(name, func(t *testing.T) {
			c := newConsulMount(t, fields{"request_timeout": 1})
			if row.prepare != nil {
				row.prepare(c)
			}
			data := c.read("check")
			text, _ := data[row.check].(string)
			if !strings.HasPrefix(text, row.says) {
				t.Errorf("%s is %q, want %q", row.check, text, row.says)
			}
			if remedy, _ := data[row.check+"_remedy"].(string); (remedy == "") == (strings.HasPrefix(text, "fail") || strings.HasPrefix(text, "warn")) {
				t.Errorf("the remedy of %q is %q", text, remedy)
			}
			if strings.Contains(fmt.Sprint(data), consultest.OwnToken) {
				t.Error("the token is in the answer")
			}
		})
	}
}

func (c *consulMount) consulFails(status int, body string) {
	c.consul.SetFault(func(string) consultest.Fault { return consultest.Fault{Status: status, Body: body} })
}

// weakToken makes the plugin's own token one that may nothing.
func (c *consulMount) weakToken() {
	c.consul.SetOwn("another")
	c.consul.Put(consulacl.Token{AccessorID: consulacl.NewUUID(), SecretID: consultest.OwnToken})
}

// explain tells what consul login would come to, and makes no token.
func TestExplainOfConsul(t *testing.T) {
	c := newConsulMount(t, nil)
	c.consul.Add([]string{"ops"}, nil)
	c.rule("role", "", "consul-role", "ops")
	c.rule("missing", "", "consul-policy", "gone")
	c.rule("others", `serviceaccount.name == "db"`, "consul-service", "db")
	ask := func(data fields) outcome {
		return c.do(logical.UpdateOperation, "explain", merge(fields{"jwt": c.jwt, "consul": true}, data))
	}
	o := ask(nil)
	if o.status != http.StatusOK || o.data["verdict"] != "allowed" || o.data["client_sees"] != "200 and a Consul token" || o.data["step_09_consul_token"] != "allowed" {
		t.Fatalf("%d %s, %v", o.status, o.message, o.data)
	}
	got := partsOf(o.data, "consul_token")
	if got["services"]+got["roles"]+got["skipped"] != "[web][ops][policy/gone]" {
		t.Errorf("it would get %v", got)
	}
	if lines := fmt.Sprint(linesOf(o.data, "rules_not_matched")); !strings.Contains(lines, "others: serviceaccount.name") {
		t.Errorf("not matched: %s", lines)
	}
	c.rule("service", "", "consul-role", "gone")
	c.do(logical.DeleteOperation, rules.Prefix+"role", nil)
	if o := ask(nil); o.data["verdict"] != "denied" || o.data["failed_step"] != "consul token" || o.data["client_sees"] != "403 Permission denied" {
		t.Errorf("nothing exists: %v", o.data)
	}
	c.consul.Close()
	if o := ask(nil); o.data["verdict"] != "could not ask" || o.data["client_sees"] != "503 "+consulUnreachable {
		t.Errorf("Consul is down: %v", o.data)
	}
	if o := ask(fields{"role": "demo"}); o.data["client_sees"] != "403 "+consulUnknown {
		t.Errorf("with a role that decides by itself: %d %s, %v", o.status, o.message, o.data)
	}
	for _, token := range c.consul.Tokens() {
		t.Errorf("it made %+v", token)
	}
}
