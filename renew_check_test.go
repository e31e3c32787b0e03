package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// A renewal looks again at the service account, under a role and by rules alike.
func TestRenewalCheck(t *testing.T) {
	for name, row := range map[string]struct {
		config fields
		change func(m *mount)
		ok     bool
		warns  bool
	}{
		"nothing changed":      {change: func(*mount) {}, ok: true},
		"account deleted":      {change: func(m *mount) { m.api.DeleteServiceAccount("apps", "web") }},
		"account created anew": {change: func(m *mount) { m.api.DeleteServiceAccount("apps", "web"); m.api.AddServiceAccount("apps", "web") }},
		"account deleted, check off": {
			config: fields{"renewal_check": "none"},
			change: func(m *mount) { m.api.DeleteServiceAccount("apps", "web") }, ok: true,
		},
		"API server fails":     {change: func(m *mount) { m.api.Fail(kubetest.Status(http.StatusInternalServerError)) }, ok: true, warns: true},
		"permission missing":   {change: func(m *mount) { m.api.Revoke("kube-system", "reviewer", kubetest.ServiceAccounts) }, ok: true, warns: true},
		"reviewer deleted":     {change: func(m *mount) { m.api.DeleteServiceAccount("kube-system", "reviewer") }, ok: true, warns: true},
		"configuration broken": {change: func(m *mount) { m.stored("config", `{"host":"://"}`); m.InvalidateKey(m.t.Context(), "config") }, ok: true, warns: true},
	} {
		for _, by := range []string{"role", "rules"} {
			t.Run(name+" by "+by, func(t *testing.T) {
				m := newDemo(t, row.config, nil)
				auth := m.mustLogin(m.token())
				if by == "rules" {
					m.rule("base", "", "policy", "base")
					auth = m.mustLoginByRules(m.token())
				}
				row.change(m)
				m.logs.Take()
				got := m.renew(auth)
				if (got.auth != nil) != row.ok {
					t.Errorf("renewed: %t, want %t; %d %s", got.auth != nil, row.ok, got.status, got.message)
				}
				if logged := fmt.Sprint(m.logs.Take()); strings.Contains(logged, "[warn]") != row.warns {
					t.Errorf("a warning: want %t, logged: %s", row.warns, logged)
				}
			})
		}
	}
}

func TestConfigOfRequests(t *testing.T) {
	m := newMount(t)
	for name, row := range map[string]struct {
		change fields
		says   string // of a refusal; empty if it is taken
	}{
		"timeout":                         {fields{"request_timeout": "5s"}, ""},
		"timeout too long":                {fields{"request_timeout": "2m"}, "request_timeout"},
		"negative timeout":                {fields{"request_timeout": -1}, "request_timeout"},
		"reviews":                         {fields{"max_concurrent_reviews": 5}, ""},
		"negative reviews":                {fields{"max_concurrent_reviews": -5}, "max_concurrent_reviews"},
		"renewal check":                   {fields{"renewal_check": "none"}, ""},
		"renewal check that is none":      {fields{"renewal_check": "node"}, "renewal_check"},
		"proxy":                           {fields{"proxy_url": "socks5://10.0.0.1:1080"}, ""},
		"proxy of another scheme":         {fields{"proxy_url": "ftp://10.0.0.1"}, "proxy_url"},
		"server name":                     {fields{"tls_server_name": "kubernetes.default"}, ""},
		"server name that cannot be":      {fields{"tls_server_name": "not a name"}, "tls_server_name"},
		"cluster name that is a wildcard": {fields{"cluster_name": "+"}, "cluster_name"},
		"prefix with a wildcard":          {fields{"map_namespaces": true, "consul_namespace_prefix": "k8s*"}, "consul_namespace_prefix"},
		"override that is a wildcard":     {fields{"map_namespaces": true, "consul_namespace_overrides": "a=+"}, "consul_namespace_overrides"},
		"annotation that cannot be":       {fields{"service_name_annotation": "a b"}, "service_name_annotation"},
		"cluster name with a newline":     {fields{"cluster_name": "a\nb"}, "cluster_name"},
		"prefix without the mapping":      {fields{"consul_namespace_prefix": "k8s-"}, "map_namespaces"},
		"overrides without the mapping":   {fields{"consul_namespace_overrides": "a=b"}, "map_namespaces"},
	} {
		t.Run(name, func(t *testing.T) {
			got := m.do("update", "config", m.config(row.change))
			switch {
			case row.says == "" && got.status != http.StatusOK:
				t.Errorf("%d %s", got.status, got.message)
			case row.says != "" && (got.status != http.StatusBadRequest || !strings.Contains(got.message, row.says)):
				t.Errorf("%d %s, want a 400 that says %s", got.status, got.message, row.says)
			}
		})
	}
	m.write("config", m.config(fields{"request_timeout": "5s", "max_concurrent_reviews": 7}))
	data := m.read("config")
	if data["request_timeout"] != int64(5) || data["max_concurrent_reviews"] != 7 {
		t.Errorf("read %v, %v", data["request_timeout"], data["max_concurrent_reviews"])
	}
}

// An API server behind a tunnel has a certificate of another name.
func TestServerName(t *testing.T) {
	m := newDemo(t, fields{"tls_server_name": "elsewhere.example"}, nil)
	wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
	m.write("config", m.config(fields{"tls_server_name": "localhost"}))
	if got := m.login("demo", m.token()); got.auth == nil {
		t.Errorf("%d %s, logged %v", got.status, got.message, m.logs.Take())
	}
}

func TestProxyURL(t *testing.T) {
	m := newDemo(t, fields{"proxy_url": "http://127.0.0.1:1"}, nil)
	wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
	if got := m.api.Count(kubetest.TokenReviews); got != 0 {
		t.Errorf("%d requests went past the proxy", got)
	}
}
