package consultoken_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/consulacl"
	"vault-plugin-auth-kubernetes/internal/consultest"
	"vault-plugin-auth-kubernetes/internal/consultoken"
)

func newMint(t *testing.T, server *consultest.Server, change ...func(*consultoken.Entry)) *consultoken.Mint {
	t.Helper()
	e := &consultoken.Entry{Address: server.URL, Token: consultest.OwnToken}
	for _, change := range change {
		change(e)
	}
	if err := errors.Join(e.TakeOver(nil, true), e.Validate()); err != nil {
		t.Fatal(err)
	}
	m, err := consultoken.NewMint(t.Context(), e, consultoken.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestMake(t *testing.T) {
	server := consultest.New(t)
	server.Add([]string{"ops"}, []string{"read"})
	m := newMint(t, server)
	grants := binding.ConsulGrants{
		Services: []string{"api", "web"}, Nodes: []string{"node-1"}, Roles: []string{"gone", "ops"}, Policies: []string{"none", "read"},
	}
	made, err := m.Make(t.Context(), consultoken.Wanted{Grants: grants, Meta: map[string]string{"pod": "web-1", "a": `"`}})
	if err != nil {
		t.Fatal(err)
	}
	want := consulacl.Privileges{
		ServiceIdentities: []consulacl.ServiceIdentity{{ServiceName: "api"}, {ServiceName: "web"}},
		NodeIdentities:    []consulacl.NodeIdentity{{NodeName: "node-1", Datacenter: "dc1"}},
		Roles:             []consulacl.Link{{Name: "ops"}},
		Policies:          []consulacl.Link{{Name: "read"}},
	}
	if !reflect.DeepEqual(made.Privileges, want) {
		t.Errorf("got %+v, want %+v", made.Privileges, want)
	}
	if made.Description != `token created via login: {"a":"\"","pod":"web-1"}` || !made.Local {
		t.Errorf("description %q, local %t", made.Description, made.Local)
	}
	if ttl := made.ExpirationTime.Sub(made.CreateTime); ttl != time.Hour {
		t.Errorf("it lasts %s", ttl)
	}
	if count, err := m.Alive(t.Context()); count != 1 || err != nil {
		t.Errorf("%d are the mount's, %v", count, err)
	}
}

func TestMakeNothing(t *testing.T) {
	server := consultest.New(t)
	m := newMint(t, server)
	for name, grants := range map[string]binding.ConsulGrants{
		"no rule":          {},
		"only missing":     {Roles: []string{"gone"}, Policies: []string{"none"}},
		"rules without it": {Rules: []string{"x"}},
	} {
		if _, err := m.Make(t.Context(), consultoken.Wanted{Grants: grants}); !errors.Is(err, consultoken.ErrNothing) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if tokens := server.Tokens(); len(tokens) != 0 {
		t.Errorf("made %+v", tokens)
	}
}

// A role that is deleted after it was looked up is skipped as any that is missing.
func TestMakeAfterARoleIsGone(t *testing.T) {
	server := consultest.New(t)
	server.Add([]string{"ops"}, nil)
	m := newMint(t, server)
	w := consultoken.Wanted{Grants: binding.ConsulGrants{Services: []string{"web"}, Roles: []string{"ops"}}}
	for _, want := range []int{1, 0} {
		made, err := m.Make(t.Context(), w)
		if err != nil || len(made.Roles) != want {
			t.Fatalf("%+v, %v, want %d roles", made, err, want)
		}
		server.Remove([]string{"ops"}, nil)
	}
	if tokens := server.Tokens(); len(tokens) != 2 {
		t.Errorf("%d tokens", len(tokens))
	}
}

func TestLogout(t *testing.T) {
	server := consultest.New(t)
	m, other := newMint(t, server), newMint(t, server)
	w := consultoken.Wanted{Grants: binding.ConsulGrants{Services: []string{"web"}}}
	made, err := m.Make(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	server.Put(consulacl.Token{AccessorID: consulacl.NewUUID(), SecretID: "3f2504e0-4f89-41d3-9a0c-0305e82c3301"})
	server.Requests()
	for name, secret := range map[string]string{
		"made by hand": "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "the plugin's own": consultest.OwnToken,
		"an accessor": made.AccessorID, "none": "", "made up": consulacl.NewUUID(),
	} {
		if err := m.Logout(t.Context(), secret); !errors.Is(err, consultoken.ErrNotOurs) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := other.Logout(t.Context(), made.SecretID); !errors.Is(err, consultoken.ErrNotOurs) {
		t.Errorf("another mount takes it back: %v", err)
	}
	if got := server.Requests(); len(got) != 0 {
		t.Errorf("Consul was asked %q about tokens that the mount did not make", got)
	}
	for range 2 {
		if err := m.Logout(t.Context(), made.SecretID); err != nil {
			t.Error(err)
		}
	}
	if tokens := server.Tokens(); len(tokens) != 1 {
		t.Errorf("left are %+v", tokens)
	}
}

func TestRotate(t *testing.T) {
	server := consultest.New(t)
	m := newMint(t, server)
	e := m.Config
	var stored []consultoken.Entry
	store := func(e *consultoken.Entry) error {
		stored = append(stored, *e)
		return nil
	}
	server.Put(consulacl.Token{
		AccessorID: "11111111-0000-4000-8000-000000000001", SecretID: consultest.OwnToken, Description: "by hand",
		Privileges: consulacl.Privileges{Policies: []consulacl.Link{{ID: "1", Name: "global-management"}}},
	})
	server.Add(nil, []string{"global-management"})
	if err := consultoken.Rotate(t.Context(), m, store); err != nil {
		t.Fatal(err)
	}
	tokens := server.Tokens()
	last := stored[len(stored)-1]
	if len(tokens) != 1 || tokens[0].SecretID != last.Token || last.Token == e.Token || last.Retired != "" || tokens[0].ExpirationTime != nil {
		t.Errorf("tokens %+v, stored %+v", tokens, last)
	}
	if len(tokens[0].Policies) != 1 || tokens[0].Policies[0].Name != "global-management" {
		t.Errorf("it may do %+v", tokens[0].Privileges)
	}
}

// Wherever a rotation ends, the token that is stored is one that works, and the next
// rotation leaves no other.
func TestRotateThatEndsHalfway(t *testing.T) {
	errStorage := errors.New("storage")
	for stop := range 3 {
		for _, consul := range []bool{false, true} {
			server := consultest.New(t)
			server.Add(nil, []string{"global-management"})
			server.Put(consulacl.Token{
				AccessorID: "11111111-0000-4000-8000-000000000001", SecretID: consultest.OwnToken,
				Privileges: consulacl.Privileges{Policies: []consulacl.Link{{Name: "global-management"}}},
			})
			m := newMint(t, server)
			stored, writes := *m.Config, 0
			store := func(e *consultoken.Entry) error {
				writes++
				if writes == stop+1 && !consul {
					return errStorage
				}
				stored = *e
				return nil
			}
			if consul {
				changes := 0
				server.SetFault(func(request string) consultest.Fault {
					if strings.HasPrefix(request, "GET") {
						return consultest.Fault{}
					}
					changes++
					return consultest.Fault{Lost: changes == stop+1}
				})
			}
			_ = consultoken.Rotate(t.Context(), m, store)
			server.SetFault(nil)
			again, err := consultoken.NewMint(t.Context(), &stored, consultoken.Options{})
			if err != nil {
				t.Fatal(err)
			}
			err = consultoken.Rotate(t.Context(), again, func(e *consultoken.Entry) error { stored = *e; return nil })
			again.Close()
			tokens := server.Tokens()
			if err != nil || len(tokens) != 1 || tokens[0].SecretID != stored.Token {
				t.Errorf("after an end at %d: %v; tokens %+v", stop, err, tokens)
			}
		}
	}
}

func TestValidate(t *testing.T) {
	valid := func(change func(*consultoken.Entry)) *consultoken.Entry {
		e := &consultoken.Entry{Address: "https://consul:8501", Token: "t0k3n"}
		change(e)
		return e
	}
	for says, change := range map[string]func(*consultoken.Entry){
		"": func(*consultoken.Entry) {},
		"address: it has no scheme: write https:": func(e *consultoken.Entry) { e.Address = "consul:8501" },
		"token: it is missing":                    func(e *consultoken.Entry) { e.Token = " " },
		"token: it has char":                      func(e *consultoken.Entry) { e.Token = "a b" },
		"auth_method":                             func(e *consultoken.Entry) { e.AuthMethod = "a/b" },
		"token_locality":                          func(e *consultoken.Entry) { e.TokenLocality = "near" },
		"max_token_ttl":                           func(e *consultoken.Entry) { e.MaxTokenTTL = time.Second },
		"request_timeout":                         func(e *consultoken.Entry) { e.RequestTimeout = time.Hour },
		"datacenter":                              func(e *consultoken.Entry) { e.Datacenter = "a&b" },
		"namespace_rules: numb":                   func(e *consultoken.Entry) { e.NamespaceRules = []binding.NamespaceRule{{BindNamespace: ""}} },
		"ca_cert":                                 func(e *consultoken.Entry) { e.CACert = "x" },
		"client_cert and client":                  func(e *consultoken.Entry) { e.ClientKey = "x" },
		"address: it begins with http://, and":    func(e *consultoken.Entry) { e.Address = "http://c:8500"; e.TLSServerName = "x" },
	} {
		err := valid(change).Validate()
		if (err == nil) != (says == "") || err != nil && !strings.HasPrefix(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

// The token that is stored goes to no other server by a change of the address.
func TestTakeOver(t *testing.T) {
	before := &consultoken.Entry{Address: "https://consul:8501", Token: "t", Key: []byte(strings.Repeat("k", consulacl.KeySize))}
	for address, taken := range map[string]bool{"https://consul:8501": true, "https://consul:8501/": true, "https://evil:8501": false, "http://consul:8501": false} {
		after := *before
		after.Address = address
		if err := after.TakeOver(before, false); (err == nil) != taken {
			t.Errorf("%s: %v", address, err)
		}
		if err := after.TakeOver(before, true); err != nil || !slices.Equal(after.Key, before.Key) {
			t.Errorf("%s, with a token: %v", address, err)
		}
	}
}

func TestDataHasNoSecret(t *testing.T) {
	e := &consultoken.Entry{Address: "https://c", Token: "s3cret-1", ClientKey: "s3cret-2", Key: []byte("s3cret-3"), Retired: "s3cret-4"}
	for field, value := range e.Data() {
		if text, ok := value.(string); ok && strings.Contains(text, "s3cret") {
			t.Errorf("%s is returned", field)
		}
	}
}

func TestCheckMeta(t *testing.T) {
	many := map[string]string{}
	for i := range 65 {
		many[strings.Repeat("k", i+1)] = ""
	}
	for name, meta := range map[string]map[string]string{"many": many, "long": {"k": strings.Repeat("v", 5000)}} {
		if consultoken.CheckMeta(meta) == nil {
			t.Errorf("%s pairs are taken", name)
		}
	}
	if err := consultoken.CheckMeta(map[string]string{"pod": "x"}); err != nil {
		t.Error(err)
	}
}

// A client that goes away once its token is made, and before it has it, leaves none.
func TestMakeForNobody(t *testing.T) {
	server := consultest.New(t)
	m := newMint(t, server)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	server.SetFault(func(request string) consultest.Fault {
		switch {
		case strings.HasSuffix(request, "stale="):
			return consultest.Fault{After: cancel}
		case strings.HasPrefix(request, "DELETE"):
			return consultest.Fault{After: sync.OnceFunc(func() { close(gone) })}
		}
		return consultest.Fault{}
	})
	made, err := m.Make(ctx, consultoken.Wanted{Grants: binding.ConsulGrants{Services: []string{"web"}}})
	if consulacl.FailureOf(err) != consulacl.Canceled {
		t.Errorf("%+v, %v", made, err)
	}
	<-gone
	if left := server.Tokens(); len(left) != 0 {
		t.Errorf("left %+v", left)
	}
}
