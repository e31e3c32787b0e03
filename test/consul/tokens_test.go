package consul

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	vault "github.com/hashicorp/vault/api"
)

// mint is a mount of the plugin that makes tokens in the same Consul. Who logs in does it
// as at a Consul, with Consul's own client.
type mint struct {
	pluginMount
	f      *fixture
	client *consul.Client
	// refused are rules that could not be written.
	refused int
}

// consulAt is a client of what a mount is to Consul's clients.
func (f *fixture) consulAt(t *testing.T, mount string) *consul.Client {
	t.Helper()
	client, err := consul.NewClient(&consul.Config{Address: f.host.Addr + "/v1/" + mount, HttpClient: http.DefaultClient})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (f *fixture) newMint(t *testing.T) *mint {
	t.Helper()
	m := &mint{f: f, pluginMount: f.newPluginMount(t)}
	m.must(t, "consul/config", map[string]any{"address": f.server.Addr, "token": f.server.ManagementToken})
	m.client = f.consulAt(t, m.path)
	return m
}

func (m *mint) write(t *testing.T, r rule) (refusal string) {
	t.Helper()
	*m.rules++
	data := map[string]any{
		"selector": cmp.Or(r.selector, "*"), "bind_type": "consul-" + r.bindType, "bind_name": r.bindName, "use_service_name_annotation": true,
	}
	_, err := m.pluginMount.client.Logical().WriteWithContext(t.Context(), fmt.Sprintf("%s/binding-rule/rule-%d", m.path, *m.rules), data)
	if err == nil {
		return ""
	}
	var answer *vault.ResponseError
	if !errors.As(err, &answer) || answer.StatusCode != http.StatusBadRequest {
		t.Fatal(err)
	}
	m.refused++
	return strings.Join(answer.Errors, "; ")
}

// token logs in; nil is a refusal.
func (m *mint) token(t *testing.T, jwt string) *consul.ACLToken {
	t.Helper()
	token, _, err := m.client.ACL().Login(&consul.ACLLoginParams{AuthMethod: "kubernetes", BearerToken: jwt, Meta: meta}, (&consul.WriteOptions{}).WithContext(t.Context()))
	if err == nil {
		return token
	}
	var answer consul.StatusError
	if !errors.As(err, &answer) || answer.Code != http.StatusForbidden || answer.Body != "Permission denied" {
		t.Fatalf("a login failed for a reason that no rule gives: %v; logged is %q", err, m.f.warnings(t))
	}
	return nil
}

// warnings are the last lines of Vault's log about logins that need an operator.
func (f *fixture) warnings(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(f.host.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "logins fail and need an operator") {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-2):]
}

// shape is what of a token has to be equal: all but who it is.
func shape(t *consul.ACLToken) string {
	if t == nil {
		return "refused"
	}
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	for _, s := range t.ServiceIdentities {
		add("service %s in %q", s.ServiceName, s.Datacenters)
	}
	for _, n := range t.NodeIdentities {
		add("node %s in %s", n.NodeName, n.Datacenter)
	}
	for _, r := range t.Roles {
		add("role %s %s", r.Name, r.ID)
	}
	for _, p := range t.Policies {
		add("policy %s %s", p.Name, p.ID)
	}
	slices.Sort(parts)
	lasts := time.Duration(0)
	if t.ExpirationTime != nil {
		lasts = t.ExpirationTime.Sub(t.CreateTime).Round(time.Second)
	}
	return fmt.Sprintf("%s\n%q, local %t, for %s, namespace %q", strings.Join(parts, "\n"), t.Description, t.Local, lasts, t.Namespace)
}

// consulToken logs in at Consul's own method; nil is a refusal.
func consulToken(t *testing.T, m consulMethod, jwt string) *consul.ACLToken {
	t.Helper()
	token, _, err := m.client.ACL().Login(&consul.ACLLoginParams{AuthMethod: m.name, BearerToken: jwt, Meta: meta}, m.opts(t))
	if err != nil {
		consulRefusal(t, err)
		return nil
	}
	return token
}

// mintDifferences are the deliberate differences that a Consul token has too; the others
// are of Vault's tokens alone.
var mintDifferences = map[string]bool{"empty-annotation": true, "long-annotation": true}

// readBack is the token as Consul itself has it, and not as it was answered.
func (f *fixture) readBack(t *testing.T, token *consul.ACLToken) *consul.ACLToken {
	t.Helper()
	if token == nil {
		return nil
	}
	stored, _, err := f.consul.ACL().TokenRead(token.AccessorID, (&consul.QueryOptions{}).WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if stored.SecretID != token.SecretID || shape(stored) != shape(token) {
		t.Errorf("answered was\n%s\nand there is\n%s", shape(token), shape(stored))
	}
	return stored
}

// newTokenSides gives rules to both. There is none at Consul if it does not know them.
func (f *fixture) newTokenSides(t *testing.T, rules []rule) (*consulMethod, *mint) {
	t.Helper()
	m := f.newMint(t)
	var own *consulMethod
	if !f.byDocumentation(rules...) {
		made := f.newConsulMethod(t)
		own = &made
	}
	for _, r := range rules {
		r.selector = f.expand(r.selector)
		if own != nil {
			if refusal := own.write(t, r); refusal != "" {
				t.Fatalf("Consul refuses %q: %s", r, refusal)
			}
		}
		m.write(t, r)
	}
	return own, m
}

// The token that a login makes is the one that Consul's own method makes.
func TestMintedTokens(t *testing.T) {
	f := servers(t)
	compared, documented := 0, 0
	for _, row := range handmade() {
		t.Run(row.name, func(t *testing.T) {
			own, m := f.newTokenSides(t, row.rules)
			if m.refused > 0 {
				// Consul takes the rule, and fails every login.
				if row.name != "a policy with a slash" || m.refused > 1 {
					t.Errorf("%d rules are refused", m.refused)
				}
				return
			}
			for _, l := range row.logins {
				jwt := f.accounts[l.account].jwt
				got := f.readBack(t, m.token(t, jwt))
				switch {
				case mintDifferences[l.differs]:
					if got == nil || string(boundTo(got)) != f.expand(string(l.plugin)) {
						t.Errorf("%s: %s, want %s as %s says", l.account, shape(got), l.plugin, l.differs)
					}
				case own == nil:
					documented++
					if want := outcome(f.expand(string(l.consul))); want.refused() != (got == nil) || got != nil && boundTo(got) != want {
						t.Errorf("%s: %s, want %s by the documentation", l.account, shape(got), want)
					}
				default:
					compared++
					if want := consulToken(t, *own, jwt); shape(got) != shape(want) {
						t.Errorf("%s: got\n%s\nConsul's own method gives\n%s", l.account, shape(got), shape(want))
					}
				}
			}
		})
	}
	t.Logf("%d logins compared with Consul's own, %d with its documentation", compared, documented)
	if compared < 100 {
		t.Errorf("only %d logins are compared with Consul's own", compared)
	}
}

func TestGeneratedTokens(t *testing.T) {
	f := servers(t)
	g := newGenerator(t)
	allowed, refusals := 0, 0
	for i := range 50 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			list := g.rules(f)
			own, m := f.newTokenSides(t, list)
			for range 3 {
				account := g.pick(g.accounts...)
				want := consulToken(t, *own, f.accounts[account].jwt)
				if got := f.readBack(t, m.token(t, f.accounts[account].jwt)); shape(got) != shape(want) {
					t.Errorf("%s by %q: got\n%s\nConsul's own method gives\n%s", account, list, shape(got), shape(want))
				}
				if want == nil {
					refusals++
				} else {
					allowed++
				}
			}
		})
	}
	t.Logf("Consul allowed %d logins and refused %d", allowed, refusals)
	if allowed == 0 || refusals == 0 {
		t.Error("this compares nothing")
	}
}
