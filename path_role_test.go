package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/role"
)

const selectorOfCI = `{"matchLabels":{"team":"ci"}}`

// allRole has a value that is not the default for every field.
func allRole() fields {
	return fields{
		"bound_service_account_names":              []string{"web", "api-*"},
		"bound_service_account_namespaces":         []string{"apps", "team-*"},
		"bound_service_account_namespace_selector": selectorOfCI,
		"audience":                "vault",
		"alias_name_source":       "serviceaccount_name",
		"token_bound_cidrs":       []string{"192.0.2.0/24", "198.51.100.7"},
		"token_explicit_max_ttl":  int64(4000),
		"token_max_ttl":           int64(3000),
		"token_no_default_policy": true,
		"token_num_uses":          5,
		"token_period":            int64(2000),
		"token_policies":          []string{"p1", "p2"},
		"token_ttl":               int64(1000),
		"token_type":              "service",
		"alias_metadata":          map[string]string{"a": "b"},
	}
}

// noAddedBounds are the fields that Vault's own method does not have, as they are read
// where nobody set them.
func noAddedBounds() fields {
	return fields{"bound_audiences": []string{}, "bound_service_accounts": []string{}, "selector": "", "only_by_binding_rules": false,
		"use_binding_rules": false, "max_token_lifetime": 0, "require_pod_bound_tokens": false, "refuse_legacy_tokens": false, "alias_metadata": map[string]string{}}
}

// allRoleAsRead is what reading the role returns that was written as allRole.
func allRoleAsRead() fields { return merge(noAddedBounds(), allRole()) }

// wantRole compares what reading a role returns. Some values have types of Vault's
// that print like the ones that were written.
func wantRole(t *testing.T, got, want fields) {
	t.Helper()
	plain := fields{}
	for field, value := range got {
		plain[field] = fmt.Sprint(value)
	}
	wanted := fields{}
	for field, value := range want {
		wanted[field] = fmt.Sprint(value)
	}
	wantData(t, plain, wanted)
}

func TestRoleReadBack(t *testing.T) {
	m := newMount(t)
	m.write("role/demo", allRole())
	wantRole(t, m.read("role/demo"), allRoleAsRead())
}

func TestRoleDefaults(t *testing.T) {
	m := newMount(t)
	m.write("role/demo", fields{"bound_service_account_names": "web", "bound_service_account_namespaces": "apps"})
	wantRole(t, m.read("role/demo"), merge(noAddedBounds(), fields{
		"bound_service_account_names":              []string{"web"},
		"bound_service_account_namespaces":         []string{"apps"},
		"bound_service_account_namespace_selector": "",
		"alias_name_source":                        "serviceaccount_uid",
		"token_bound_cidrs":                        []string{},
		"token_explicit_max_ttl":                   0,
		"token_max_ttl":                            0,
		"token_no_default_policy":                  false,
		"token_num_uses":                           0,
		"token_period":                             0,
		"token_policies":                           []string{},
		"token_ttl":                                0,
		"token_type":                               "default",
	}))
}

// Each field on its own: the others stay, the namespace selector and the alias
// metadata among them, which Vault's own method loses, and what only this plugin has.
func TestRoleWriteChangesOnlyWhatItNames(t *testing.T) {
	for field, value := range map[string]any{
		"bound_service_account_names":              []string{"other"},
		"bound_service_account_namespaces":         []string{},
		"bound_service_account_namespace_selector": "",
		"audience":                "other",
		"alias_name_source":       "serviceaccount_uid",
		"token_bound_cidrs":       []string{"203.0.113.0/24"},
		"token_explicit_max_ttl":  int64(4001),
		"token_max_ttl":           int64(3001),
		"token_no_default_policy": false,
		"token_num_uses":          6,
		"token_period":            int64(2001),
		"token_policies":          []string{},
		"token_ttl":               int64(0),
		"token_type":              "default",
		"alias_metadata":          map[string]string{"c": "d"},
		"bound_service_accounts":  []string{"ops/other"},
		"selector":                `pod.name == "x"`,
	} {
		t.Run(field, func(t *testing.T) {
			m := newMount(t)
			more := fields{"bound_service_accounts": []string{"ops/web"}, "selector": `pod.name is not empty`}
			m.write("role/demo", merge(allRole(), more))
			m.write("role/demo", fields{field: value})
			want := merge(allRoleAsRead(), more)
			want[field] = value
			wantRole(t, m.read("role/demo"), want)
		})
	}
	t.Run("nothing", func(t *testing.T) {
		m := newMount(t)
		m.write("role/demo", allRole())
		m.write("role/demo", fields{})
		wantRole(t, m.read("role/demo"), allRoleAsRead())
	})
}

// The fields from before Vault 1.2 set those of today, and are there to read only
// where they were written.
func TestDeprecatedRoleFields(t *testing.T) {
	m := newMount(t)
	m.write("role/demo", m.role(fields{
		"token_policies": nil, "policies": "old", "ttl": "20m", "max_ttl": 3600, "period": "10m", "num_uses": 3, "bound_cidrs": "192.0.2.0/24",
	}))
	got := m.read("role/demo")
	for field, want := range map[string]string{
		"policies": "[old]", "ttl": "1200", "max_ttl": "3600", "period": "600", "num_uses": "3", "bound_cidrs": "[192.0.2.0/24]",
	} {
		if fmt.Sprint(got[field]) != want || fmt.Sprint(got["token_"+field]) != want {
			t.Errorf("%s is %v and token_%s %v, want %s", field, got[field], field, got["token_"+field], want)
		}
	}
	m.write("role/demo", fields{"token_ttl": 60})
	if got := m.read("role/demo"); got["ttl"] != nil || fmt.Sprint(got["token_ttl"]) != "60" {
		t.Errorf("after token_ttl was written: ttl is %v and token_ttl %v", got["ttl"], got["token_ttl"])
	}
	m.write("role/demo", fields{"token_max_ttl": 7200, "max_ttl": 100})
	if got := m.read("role/demo"); fmt.Sprint(got["max_ttl"], got["token_max_ttl"]) != "7200 7200" {
		t.Errorf("both written: max_ttl is %v and token_max_ttl %v, the new one counts", got["max_ttl"], got["token_max_ttl"])
	}
}

func TestRoleRefuses(t *testing.T) {
	const selector = "bound_service_account_namespace_selector"
	for name, row := range map[string]struct {
		change fields
		words  string // the beginning; Vault's, where Vault refuses it too
	}{
		"no names":                     {fields{"bound_service_account_names": nil}, `"bound_service_account_names" can not be empty`},
		"empty names":                  {fields{"bound_service_account_names": ""}, `"bound_service_account_names" can not be empty`},
		"no namespaces":                {fields{"bound_service_account_namespaces": nil}, `"bound_service_account_namespaces" can not be empty if "bound_service_account_namespace_selector" is not set`},
		"star and names":               {fields{"bound_service_account_names": "*,web"}, `can not mix "*" with values`},
		"star and namespaces":          {fields{"bound_service_account_namespaces": "apps,*"}, `can not mix "*" with values`},
		"unknown alias_name_source":    {fields{"alias_name_source": "name"}, `invalid alias_name_source, must be one of: serviceaccount_uid, serviceaccount_name`},
		"negative ttl":                 {fields{"token_ttl": -1}, ""},
		"negative period":              {fields{"token_period": "-1s"}, ""},
		"negative uses":                {fields{"token_num_uses": -1}, "'token_num_uses' cannot be negative"},
		"ttl beyond max ttl":           {fields{"token_ttl": 20, "token_max_ttl": 10}, "'token_ttl' cannot be greater than 'token_max_ttl'"},
		"old ttl beyond old max ttl":   {fields{"ttl": 20, "max_ttl": 10}, "token ttl should not be greater than token max ttl"},
		"period beyond the mount's":    {fields{"token_period": "49h"}, `token period of '"49h0m0s"' is greater than the backend's maximum lease TTL of '"48h0m0s"'`},
		"unknown token type":           {fields{"token_type": "thing"}, `invalid 'token_type' value "thing"`},
		"periodic batch token":         {fields{"token_type": "batch", "token_period": 10}, "'token_type' cannot be 'batch'"},
		"batch token with uses":        {fields{"token_type": "batch", "token_num_uses": 1}, "'token_type' cannot be 'batch'"},
		"CIDR is garbage":              {fields{"token_bound_cidrs": "here"}, ""},
		"old CIDR is garbage":          {fields{"bound_cidrs": "here"}, ""},
		"uses is a word":               {fields{"token_num_uses": "many"}, ""},
		"selector is not YAML":         {fields{selector: "{{"}, `invalid "bound_service_account_namespace_selector" configured: `},
		"selector is a list":           {fields{selector: `["team"]`}, `invalid "bound_service_account_namespace_selector" configured: `},
		"selector is a word":           {fields{selector: "team=ci"}, `invalid "bound_service_account_namespace_selector" configured: `},
		"selector is null":             {fields{selector: "null"}, `invalid "bound_service_account_namespace_selector" configured: `},
		"selector is only space":       {fields{selector: " \n"}, `invalid "bound_service_account_namespace_selector" configured: `},
		"selector field mistyped":      {fields{selector: `{"matchLabel":{"team":"ci"}}`}, `invalid "bound_service_account_namespace_selector" configured: `},
		"selector field twice":         {fields{selector: `{"matchLabels":{"a":"b"},"matchLabels":{"c":"d"}}`}, `invalid "bound_service_account_namespace_selector" configured: `},
		"selector label cannot exist":  {fields{selector: `{"matchLabels":{"team":"not a label"}}`}, `invalid "bound_service_account_namespace_selector" configured: `},
		"selector key cannot exist":    {fields{selector: `{"matchLabels":{"not a key":"x"}}`}, `invalid "bound_service_account_namespace_selector" configured: `},
		"selector operator unknown":    {fields{selector: `{"matchExpressions":[{"key":"team","operator":"Like","values":["c*"]}]}`}, `invalid "bound_service_account_namespace_selector" configured: `},
		"selector In without values":   {fields{selector: `{"matchExpressions":[{"key":"team","operator":"In"}]}`}, `invalid "bound_service_account_namespace_selector" configured: `},
		"selector Exists with a value": {fields{selector: `{"matchExpressions":[{"key":"team","operator":"Exists","values":["ci"]}]}`}, `invalid "bound_service_account_namespace_selector" configured: `},
		"selector too long":            {fields{selector: `{"matchLabels":{"team":"` + strings.Repeat("x", role.MaxNamespaceSelectorBytes) + `"}}`}, `invalid "bound_service_account_namespace_selector" configured: `},
	} {
		t.Run(name, func(t *testing.T) {
			for operation, start := range map[string]fields{"create": nil, "update": allRole()} {
				m := newMount(t)
				if start != nil {
					m.write("role/demo", start)
				}
				stored := m.storage.text(t, "role/demo")
				change := maps.Clone(row.change)
				if start == nil {
					change = m.role(row.change)
				}
				for field, value := range row.change {
					if value == nil && start != nil {
						change[field] = "" // not naming a field keeps it
						if field == "bound_service_account_namespaces" {
							change[selector] = ""
						}
					}
				}
				o := m.do(logical.UpdateOperation, "role/demo", change)
				if o.status != http.StatusBadRequest || o.message == "" || !strings.HasPrefix(o.message, row.words) {
					t.Errorf("%s: %d %s", operation, o.status, o.message)
				}
				if m.storage.text(t, "role/demo") != stored {
					t.Errorf("%s: what was refused is stored", operation)
				}
			}
		})
	}
}

func TestRoleAccepts(t *testing.T) {
	for name, change := range map[string]fields{
		"any name":                        {"bound_service_account_names": "*"},
		"any namespace":                   {"bound_service_account_namespaces": "*"},
		"globs":                           {"bound_service_account_names": "web-*,*-api"},
		"selector in place of namespaces": {"bound_service_account_namespaces": nil, "bound_service_account_namespace_selector": selectorOfCI},
		"selector in YAML":                {"bound_service_account_namespace_selector": "matchLabels:\n  team: ci\n"},
		"selector with expressions":       {"bound_service_account_namespace_selector": `{"matchExpressions":[{"key":"team","operator":"NotIn","values":["x"]}]}`},
		"selector of all":                 {"bound_service_account_namespace_selector": "{}"},
		"empty alias_name_source":         {"alias_name_source": ""},
		"batch tokens":                    {"token_type": "batch"},
		"period of the mount's maximum":   {"token_period": "48h"},
		"durations in words":              {"token_ttl": "10m", "token_max_ttl": "1h"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.write("role/demo", m.role(change))
			m.read("role/demo")
		})
	}
}

// A role that has an alias_name_source cannot lose it, as in Vault.
func TestAliasNameSourceCannotBeEmptied(t *testing.T) {
	m := newMount(t)
	m.write("role/demo", m.role(nil))
	if o := m.do(logical.UpdateOperation, "role/demo", fields{"alias_name_source": ""}); o.status != http.StatusBadRequest {
		t.Errorf("%d %s", o.status, o.message)
	}
}

func TestRoleWarnings(t *testing.T) {
	const noAudience = "Role Demo does not have an audience configured. While audiences are not required, consider specifying one if your use case would benefit from additional JWT claim verification."
	const longTTL = "max_ttl is greater than the system or backend mount's maximum TTL value; issued tokens' max TTL value will be truncated"
	for name, row := range map[string]struct {
		change fields
		want   []string
	}{
		"nothing":        {nil, nil},
		"no audience":    {fields{"audience": ""}, []string{noAudience}},
		"blank audience": {fields{"audience": " "}, []string{noAudience}},
		"long max ttl":   {fields{"token_max_ttl": "49h"}, []string{longTTL}},
		"both":           {fields{"token_max_ttl": "49h", "audience": ""}, []string{longTTL, noAudience}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			if o := m.write("role/Demo", m.role(row.change)); !slices.Equal(o.warnings, row.want) {
				t.Errorf("warned %q, want %q", o.warnings, row.want)
			}
		})
	}
}

// Names are the same in upper and lower case.
func TestRoleNames(t *testing.T) {
	m := newMount(t)
	m.write("config", m.config(nil))
	m.write("role/Demo", m.role(nil))
	m.write("role/other", m.role(nil))
	if o := m.do(logical.ListOperation, "role/", nil); fmt.Sprint(o.data["keys"]) != "[demo other]" {
		t.Errorf("the list is %v", o.data["keys"])
	}
	m.read("role/DEMO")
	if o := m.login("dEmO", m.token()); o.status != http.StatusOK || o.auth.Metadata["role"] != "dEmO" {
		t.Errorf("login: %d %s, metadata %v", o.status, o.message, o.auth)
	}
	m.write("role/dEMO", fields{"audience": "changed"})
	if got := m.read("role/demo")["audience"]; got != "changed" {
		t.Errorf("the audience is %v", got)
	}
	if o := m.do(logical.DeleteOperation, "role/DEMO", nil); o.status != http.StatusOK {
		t.Errorf("delete: %d %s", o.status, o.message)
	}
	if o := m.do(logical.ReadOperation, "role/demo", nil); o.status != http.StatusNotFound {
		t.Errorf("read: %d %s", o.status, o.message)
	}
	if o := m.do(logical.DeleteOperation, "role/demo", nil); o.status != http.StatusOK {
		t.Errorf("deleting what is not there: %d %s", o.status, o.message)
	}
	if o := m.do(logical.ListOperation, "role", nil); fmt.Sprint(o.data["keys"]) != "[other]" {
		t.Errorf("the list is %v", o.data["keys"])
	}
}

func TestEmptyRoleList(t *testing.T) {
	if o := newMount(t).do(logical.ListOperation, "role/", nil); o.status != http.StatusNotFound {
		t.Errorf("%d %v", o.status, o.data)
	}
}

// Vault asks whether the role is there and then says update; a delete may come in
// between.
func TestUpdateOfARoleThatWentAway(t *testing.T) {
	m := newMount(t)
	response, err := m.HandleRequest(t.Context(), &logical.Request{
		Operation: logical.UpdateOperation, Path: "role/demo", Data: m.role(nil), Storage: m.storage,
	})
	if err == nil || response != nil || m.storage.text(t, "role/demo") != "" {
		t.Errorf("response %v, error %v, stored %q", response, err, m.storage.text(t, "role/demo"))
	}
}

// Writes of different fields at the same time must not undo each other.
func TestRoleWritesAtTheSameTime(t *testing.T) {
	m := newMount(t)
	m.write("role/demo", allRole())
	changes := fields{"audience": "other", "token_ttl": int64(7), "alias_name_source": "serviceaccount_uid", "token_num_uses": 9}
	var all sync.WaitGroup
	for field, value := range changes {
		all.Go(func() {
			for range 10 {
				if o := m.do(logical.UpdateOperation, "role/demo", fields{field: value}); o.status != http.StatusOK {
					t.Errorf("%s: %d %s", field, o.status, o.message)
				}
			}
		})
	}
	all.Wait()
	want := allRoleAsRead()
	maps.Copy(want, changes)
	wantRole(t, m.read("role/demo"), want)
}

func TestRoleThatCannotBeStored(t *testing.T) {
	m := newMount(t)
	m.write("role/demo", m.role(nil))
	m.storage.fail("role/")
	for _, operation := range []logical.Operation{logical.CreateOperation, logical.ReadOperation, logical.DeleteOperation} {
		if o := m.do(operation, "role/demo", m.role(nil)); o.status != http.StatusInternalServerError {
			t.Errorf("%s: %d %s", operation, o.status, o.message)
		}
	}
	if o := m.do(logical.ListOperation, "role/", nil); o.status != http.StatusInternalServerError {
		t.Errorf("list: %d %s", o.status, o.message)
	}
	if _, _, err := m.HandleExistenceCheck(t.Context(), &logical.Request{Operation: logical.UpdateOperation, Path: "role/demo", Storage: m.storage}); err == nil {
		t.Error("the existence check says nothing")
	}
}
