package faults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
)

// request is one to a path of a mount.
type request struct {
	method, path string
	body         any
}

func (m mount) send(r request) (answer, error) {
	return ask(m.addr, m.token, r.method, "auth/"+m.path+"/"+r.path, r.body)
}

func (m mount) mustSend(t testing.TB, r request) answer {
	t.Helper()
	return m.must(t, r.method, "auth/"+m.path+"/"+r.path, r.body)
}

// revocation is a way to end what the tests' service account logs in by.
type revocation struct {
	name    string
	methods []string // that have it

	grant, revoke func(name string) request
	// entry is the path to read, and revoked tells whether what was read is from after
	// the revocation.
	entry   func(name string) string
	revoked func(a answer) bool
	// role to log in under, and whether an answer gives what was revoked.
	role    func(name string) string
	granted func(a answer, name string) bool
}

// revocations are all of them. The API servers are fakes: one says yes to every token
// and one says no, so what refuses a login is what the mount believes to be stored, and
// thousands of logins cost little.
func revocations(yes, no fakeAPI) []revocation {
	both := []string{ours, builtIn}
	rolePath := func(name string) string { return "role/" + name }
	rulePath := func(name string) string { return "binding-rule/" + name }
	itself := func(name string) string { return name }
	writeRole := func(name string) request { return request{http.MethodPost, rolePath(name), role()} }
	isGone := func(a answer) bool { return a.status == http.StatusNotFound }
	anything := func(a answer, _ string) bool { return a.status == http.StatusOK }
	return []revocation{
		{
			name: "role deleted", methods: both,
			grant:  writeRole,
			revoke: func(name string) request { return request{http.MethodDelete, rolePath(name), nil} },
			entry:  rolePath, revoked: isGone,
			role: itself, granted: anything,
		},
		{
			name: "role narrowed", methods: both,
			grant: writeRole,
			revoke: func(name string) request {
				return request{http.MethodPost, rolePath(name), fields{"bound_service_account_names": "another"}}
			},
			entry:   rolePath,
			revoked: func(a answer) bool { return fmt.Sprint(a.data()["bound_service_account_names"]) == "[another]" },
			role:    itself, granted: anything,
		},
		{
			name: "rule deleted", methods: []string{ours},
			grant: func(name string) request {
				return request{http.MethodPost, rulePath(name), fields{
					"selector":  fmt.Sprintf("serviceaccount.name == %q", kube.account),
					"bind_type": "policy", "bind_name": name,
				}}
			},
			revoke: func(name string) request { return request{http.MethodDelete, rulePath(name), nil} },
			entry:  rulePath, revoked: isGone,
			role: func(string) string { return "" },
			// Another rule of the mount may let the login in; the policy is this one's own.
			granted: func(a answer, name string) bool { return slices.Contains(a.policies(), name) },
		},
		{
			name: "another cluster", methods: both,
			grant:   func(string) request { return request{http.MethodPost, "config", config(yes.url, yes.caPEM)} },
			revoke:  func(string) request { return request{http.MethodPost, "config", config(no.url, no.caPEM)} },
			entry:   func(string) string { return "config" },
			revoked: func(a answer) bool { return a.data()["kubernetes_host"] == no.url },
			role:    func(string) string { return roleName }, granted: anything,
		},
	}
}

// reads tells whether the mount shows the revocation.
func (r revocation) reads(t testing.TB, m mount, name string) bool {
	t.Helper()
	a, err := m.send(request{http.MethodGet, r.entry(name), nil})
	if err != nil || a.status >= http.StatusInternalServerError {
		t.Fatalf("read %s: %v, %v", r.entry(name), a, err)
	}
	return r.revoked(a)
}

// login tells whether a login gets what was granted. Any answer but a token or a
// refusal is an error.
func (r revocation) login(m mount, name, jwt string) (granted bool, err error) {
	a, err := m.tryLoginAs(r.role(name), jwt)
	if err != nil {
		return false, err
	}
	if a.status >= http.StatusInternalServerError {
		return false, fmt.Errorf("login: %v", a)
	}
	return r.granted(a, name), nil
}

// mustGrant grants, and logs in so that the mount remembers all that it can. It does
// so again where a revocation that was given up before only now takes effect.
func (r revocation) mustGrant(t testing.TB, m mount, name, jwt string) {
	t.Helper()
	await(t, r.entry(name)+" to let somebody in", func() bool {
		m.mustSend(t, r.grant(name))
		granted, err := r.login(m, name, jwt)
		if err != nil {
			t.Fatal(err)
		}
		return granted
	})
}

// data is what Vault answers to a read; empty if there is none.
func (a answer) data() fields { return a.object("data") }

// policies are those of the token that a login got.
func (a answer) policies() (names []string) {
	list, _ := a.object("auth")["policies"].([]any)
	for _, name := range list {
		names = append(names, fmt.Sprint(name))
	}
	return names
}

func (a answer) object(key string) fields {
	var body map[string]any
	_ = json.Unmarshal([]byte(a.body), &body) // what is no JSON has no fields
	object, _ := body[key].(map[string]any)
	return object
}
