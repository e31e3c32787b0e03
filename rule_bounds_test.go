package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

func TestRulesAreBounded(t *testing.T) {
	m := newDemo(t, nil, nil)
	rule := func(more fields) fields {
		data := fields{"selector": "*", "bind_type": "policy", "bind_name": "web"}
		for field, value := range more {
			data[field] = value
		}
		return data
	}
	for name, row := range map[string]struct {
		rule, description string
		want              int
	}{
		"as long as may be":    {strings.Repeat("n", 256), strings.Repeat("d", 4096), http.StatusOK},
		"too long a name":      {strings.Repeat("n", 257), "", http.StatusBadRequest},
		"too long to describe": {"short", strings.Repeat("d", 4097), http.StatusBadRequest},
	} {
		got := m.do(logical.UpdateOperation, "binding-rule/"+row.rule, rule(fields{"description": row.description}))
		if got.status != row.want && (row.want != http.StatusOK || got.err != nil || got.message != "") {
			t.Errorf("%s: %d %s, want %d", name, got.status, got.message, row.want)
		}
	}
}
