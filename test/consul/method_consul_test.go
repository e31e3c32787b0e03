package consul

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
)

// consulMethod is an auth method of type kubernetes in Consul.
type consulMethod struct {
	client *consul.Client
	name   string
}

// newConsulMethod makes a method, and so a client of the API server, of which
// Consul's have a limit of 5 requests a second after the first 10: few logins
// at each of many methods do not have to wait.
func (f *fixture) newConsulMethod(t *testing.T) consulMethod {
	t.Helper()
	f.methods++
	m := consulMethod{client: f.consul, name: fmt.Sprintf("method-%d", f.methods)}
	_, _, err := m.client.ACL().AuthMethodCreate(&consul.ACLAuthMethod{
		Name: m.name,
		Type: "kubernetes",
		// As by default on the other side.
		MaxTokenTTL: time.Hour, TokenLocality: "local",
		Config: map[string]any{
			"Host":              f.cluster.Host,
			"CACert":            f.cluster.CAPEM,
			"ServiceAccountJWT": f.reviewerJWT,
		},
	}, m.opts(t))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m consulMethod) opts(t *testing.T) *consul.WriteOptions {
	return (&consul.WriteOptions{}).WithContext(t.Context())
}

func (m consulMethod) write(t *testing.T, r rule) (refusal string) {
	t.Helper()
	_, _, err := m.client.ACL().BindingRuleCreate(&consul.ACLBindingRule{
		AuthMethod: m.name,
		Selector:   r.selector,
		BindType:   consul.BindingRuleBindType(r.bindType),
		BindName:   r.bindName,
	}, m.opts(t))
	if err == nil {
		return ""
	}
	var answer consul.StatusError
	if !errors.As(err, &answer) || !strings.Contains(strings.ToLower(answer.Body), "invalid binding rule") {
		t.Fatal(err)
	}
	return answer.Body
}

func (m consulMethod) login(t *testing.T, jwt string) outcome {
	t.Helper()
	token, _, err := m.client.ACL().Login(&consul.ACLLoginParams{AuthMethod: m.name, BearerToken: jwt, Meta: meta}, m.opts(t))
	if err != nil {
		return consulRefusal(t, err)
	}
	return boundTo(token)
}

// meta is what each login says of itself.
var meta = map[string]string{"pod": "web-1", "node": "n"}

// boundTo are the names that a token has.
func boundTo(token *consul.ACLToken) outcome {
	names := map[string][]string{}
	for _, s := range token.ServiceIdentities {
		names["service"] = append(names["service"], s.ServiceName)
	}
	for _, n := range token.NodeIdentities {
		names["node"] = append(names["node"], n.NodeName)
	}
	for _, r := range token.Roles {
		names["role"] = append(names["role"], r.Name)
	}
	for _, p := range token.Policies {
		names["policy"] = append(names["policy"], p.Name)
	}
	return bound(names)
}

func consulRefusal(t *testing.T, err error) outcome {
	t.Helper()
	var answer consul.StatusError
	switch {
	case !errors.As(err, &answer):
	case answer.Code == http.StatusForbidden && strings.Contains(answer.Body, "Permission denied"):
		return nothing
	case strings.Contains(answer.Body, "invalid bind name"), strings.Contains(answer.Body, "bind name for bind target is invalid"):
		return badName
	case strings.Contains(answer.Body, "lookup failed"):
		return notForIt
	}
	t.Fatalf("a login failed for a reason that no rule gives: %v", err)
	return ""
}
