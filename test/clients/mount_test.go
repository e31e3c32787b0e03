package clients

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// fields is the body of a request.
type fields = map[string]any

// byRules is the role of each mount that stands for the binding rules.
const byRules = "rules"

// rulePolicy is what a rule grants to everybody. It lets a client look at its token, and SPIRE
// have its certificates signed.
const rulePolicy = "granted-by-a-rule"

// mount is an auth mount of the plugin with two roles, app for the account that logs in and
// rules for whoever rules grant something, and the account.
type mount struct {
	t       testing.TB
	vault   *testbed.Vault
	client  *api.Client
	path    string // without auth/
	account account
	dir     string
}

// settings are those that the roles of a mount differ in.
type settings struct {
	host, caPEM string // of the API server; that of the bed if empty
	role        fields // token settings
	vault       *testbed.Vault
}

func newMount(t testing.TB, s settings) *mount {
	t.Helper()
	m := &mount{t: t, vault: bed.Vault, path: "clusters/" + strings.ToLower(rand.Text()[:10]), dir: t.TempDir()}
	if s.vault != nil {
		m.vault = s.vault
	}
	client, err := m.vault.Client()
	if err != nil {
		t.Fatal(err)
	}
	client.SetClientTimeout(time.Minute)
	m.client = client
	if s.host == "" {
		s.host, s.caPEM = bed.Cluster.Host, bed.Cluster.CAPEM
	}
	m.write("sys/policies/acl/"+rulePolicy, fields{"policy": `
path "auth/token/lookup-self" { capabilities = ["read"] }
path "pki/root/sign-intermediate" { capabilities = ["update"] }`})
	m.write("sys/auth/"+m.path, fields{"type": testbed.PluginName, "config": fields{"plugin_version": bed.PluginVersion}})
	m.write("auth/"+m.path+"/config", fields{
		"kubernetes_host": s.host, "kubernetes_ca_cert": s.caPEM, "token_reviewer_jwt": reviewer,
		"disable_local_ca_jwt": true, "binding_rule_audiences": audience,
	})
	m.write("auth/"+m.path+"/binding-rule/all", fields{"selector": "*", "bind_type": "policy", "bind_name": rulePolicy})
	name := "web-" + m.path[len("clusters/"):]
	m.account = newAccount(t, name, filepath.Join(m.dir, "jwt"))
	m.role("app", s.role, fields{"bound_service_account_names": name, "bound_service_account_namespaces": namespace, "audience": audience})
	m.role(byRules, s.role, fields{"use_binding_rules": true})
	return m
}

func (m *mount) role(name string, settings ...fields) {
	m.t.Helper()
	all := fields{}
	for _, s := range settings {
		maps.Copy(all, s)
	}
	m.write("auth/"+m.path+"/role/"+name, all)
}

func (m *mount) write(path string, body fields) {
	m.t.Helper()
	if _, err := m.client.Logical().WriteWithContext(m.t.Context(), path, body); err != nil {
		m.t.Fatal(err)
	}
}

// token is what Vault knows of one.
type token struct {
	Accessor    string            `json:"accessor"`
	Path        string            `json:"path"`
	Policies    []string          `json:"policies"`
	Meta        map[string]string `json:"meta"`
	Created     int64             `json:"creation_time"`
	LastRenewal int64             `json:"last_renewal_time"`
}

// tokens are those that logins of the mount got and that live, the oldest first: what
// clients did is seen by what Vault has of them.
func (m *mount) tokens() []token {
	m.t.Helper()
	list, err := m.client.Logical().ListWithContext(m.t.Context(), "auth/token/accessors")
	if err != nil || list == nil {
		m.t.Fatalf("accessors: %v", err)
	}
	var found []token
	for _, accessor := range list.Data["keys"].([]any) {
		secret, err := m.client.Auth().Token().LookupAccessorWithContext(m.t.Context(), accessor.(string))
		if err != nil || secret == nil || secret.Data["path"] != "auth/"+m.path+"/login" {
			continue // it ended meanwhile, or is somebody else's
		}
		encoded, err := json.Marshal(secret.Data)
		if err != nil {
			m.t.Fatal(err)
		}
		var one token
		if err := json.Unmarshal(encoded, &one); err != nil {
			m.t.Fatal(err)
		}
		found = append(found, one)
	}
	slices.SortStableFunc(found, func(a, b token) int { return int(a.Created - b.Created) })
	return found
}

// await waits for a token of the mount that is as described.
func (m *mount) await(what string, is func(token) bool) token {
	m.t.Helper()
	var last []token
	deadline := time.Now().Add(2 * time.Minute)
	for time.Now().Before(deadline) {
		last = m.tokens()
		for _, one := range slices.Backward(last) {
			if is(one) {
				return one
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
	m.t.Fatalf("there is no token that is %s; there are %+v", what, last)
	return token{}
}

func grantedByRule(one token) bool { return slices.Contains(one.Policies, rulePolicy) }

var loginsCounted = regexp.MustCompile(`(?m)^vault_kubernetes_auth_logins_total\{.*outcome="([a-z_]+)".*\} (\d+)$`)

// logins counts the logins that the mount answered, by outcome.
func (m *mount) logins() map[string]int {
	m.t.Helper()
	request := m.client.NewRequest(http.MethodGet, "/v1/auth/"+m.path+"/metrics")
	response, err := m.client.RawRequestWithContext(context.WithoutCancel(m.t.Context()), request) //nolint:staticcheck // the answer is no JSON
	if err != nil {
		m.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	counts := map[string]int{}
	for _, match := range loginsCounted.FindAllStringSubmatch(string(text), -1) {
		count, err := strconv.Atoi(match[2])
		if err != nil {
			m.t.Fatal(err)
		}
		counts[match[1]] += count
	}
	return counts
}

// place is where a client is to log in.
type place struct {
	addr, mount, role, account, file, dir string
	wrapped                               bool
	root                                  *api.Client // may do everything in that Vault
}

func (m *mount) place(role string) place {
	return place{addr: m.vault.Addr, mount: m.path, role: role, account: m.account.name, file: m.account.file, dir: m.dir, root: m.client}
}

func (p place) env() []string {
	return []string{"VAULT_ADDR=" + p.addr, "MOUNT=" + p.mount, "ROLE=" + p.role, "JWT_FILE=" + p.file, fmt.Sprintf("WRAPPED=%t", p.wrapped)}
}
