package main

import (
	"context"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
)

// A panic ends the request that came upon it, and no other: not the one after it, be it
// in the goroutine of the request or in one that reads for several.
func TestAPanicEndsOneRequest(t *testing.T) {
	const secret = "hvs.what-was-thrown-holds-a-secret"
	for name, row := range map[string]struct {
		key     string
		request func(m *mount) outcome
	}{
		"login, reading the role": {"role/", func(m *mount) outcome { return m.login("demo", m.token()) }},
		"login, configuration":    {"config", func(m *mount) outcome { return m.login("demo", m.token()) }},
		"write of a role":         {"role/", func(m *mount) outcome { return m.do(logical.UpdateOperation, "role/demo", m.role(nil)) }},
		"list of rules":           {"binding-rule", func(m *mount) outcome { return m.do(logical.ListOperation, "binding-rule/", nil) }},
		"existence of a role": {"role/", func(m *mount) outcome {
			_, _, err := m.HandleExistenceCheck(m.t.Context(), &logical.Request{Operation: logical.UpdateOperation, Path: "role/new", Data: m.role(nil), Storage: m.storage})
			return outcome{err: err}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, nil)
			jwt := m.token()
			m.InvalidateKey(t.Context(), "role/demo")
			m.InvalidateKey(t.Context(), "config")
			m.logs.Take()
			m.storage.does(func(_ context.Context, _, key string, do func() error) error {
				if strings.HasPrefix(key, row.key) {
					panic(secret + jwt)
				}
				return do()
			})
			refused := row.request(m)
			if refused.err == nil || strings.Contains(refused.err.Error(), secret) || strings.Contains(refused.err.Error(), ".go") {
				t.Errorf("the caller got %v", refused.err)
			}
			told := false
			for _, line := range m.logs.Take() {
				told = told || line.Level == hclog.Error && strings.Contains(line.Fields["fault"], "panic_test.go")
				if strings.Contains(line.String(), secret) || strings.Contains(line.String(), jwt) {
					t.Errorf("logged %s", line)
				}
			}
			if !told {
				t.Error("the log does not say where")
			}
			m.storage.does(func(_ context.Context, _, _ string, do func() error) error { return do() })
			m.mustLogin(jwt)
			m.write("role/demo", m.role(nil))
		})
	}
}
