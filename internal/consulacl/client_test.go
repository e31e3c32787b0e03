package consulacl_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/consulacl"
	"vault-plugin-auth-kubernetes/internal/consultest"
)

// clock is one that passes as it is slept on.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.slept = append(c.slept, d)
	return ctx.Err()
}

type bench struct {
	*consulacl.Client
	server *consultest.Server
	clock  *clock
	meter  *consulacl.Meter
	end    context.CancelFunc
}

func newBench(t *testing.T, options ...func(*consulacl.Options)) bench {
	t.Helper()
	return benchOf(t, consultest.New(t), options...)
}

func benchOf(t *testing.T, server *consultest.Server, options ...func(*consulacl.Options)) bench {
	t.Helper()
	b := bench{server: server, clock: newClock(), meter: &consulacl.Meter{}}
	address, err := consulacl.ParseAddress(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	o := consulacl.Options{
		Address: address, Token: consultest.OwnToken, Timeout: 20 * time.Second, UserAgent: "test", Clock: b.clock, Meter: b.meter,
	}
	for _, option := range options {
		option(&o)
	}
	var ctx context.Context
	ctx, b.end = context.WithCancel(t.Context())
	t.Cleanup(b.end)
	if b.Client, err = consulacl.New(ctx, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func web() consulacl.NewToken {
	return consulacl.NewToken{
		AccessorID: consulacl.NewUUID(), Description: "token created via login", Local: true, TTL: time.Hour,
		Privileges: consulacl.Privileges{ServiceIdentities: []consulacl.ServiceIdentity{{ServiceName: "web"}}},
	}
}

func TestMint(t *testing.T) {
	b := newBench(t)
	n := web()
	made, err := b.Mint(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if made.AccessorID != n.AccessorID || made.SecretID == "" || made.ExpirationTime == nil || !made.Local || len(made.ServiceIdentities) != 1 {
		t.Errorf("got %+v", made)
	}
	want := []string{"PUT /v1/acl/token", "GET /v1/acl/token/self?stale="}
	if got := b.server.Requests(); !slices.Equal(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
	if body := b.server.Bodies()[0]; strings.Contains(body, "Namespace") || strings.Contains(body, "Partition") || strings.Contains(body, "AuthMethod") {
		t.Errorf("the body %s names what only Enterprise has, or may not be set", body)
	}
}

// A server that is behind does not know a new token for a moment.
func TestMintWaitsUntilATokenIsKnown(t *testing.T) {
	b := newBench(t)
	b.server.SetUnknown(3)
	if _, err := b.Mint(t.Context(), web()); err != nil {
		t.Fatal(err)
	}
	if got := len(b.server.Requests()); got != 1+4 {
		t.Errorf("%d requests", got)
	}
	b.server.SetUnknown(1000)
	began := b.clock.Now()
	if _, err := b.Mint(t.Context(), web()); err != nil {
		t.Errorf("a token that is unknown to a slow server is not handed out: %v", err)
	}
	if took := b.clock.Now().Sub(began); took > 2*time.Second {
		t.Errorf("it waited %s", took)
	}
}

// What became of a request that got no answer is found out, or undone.
func TestMintThatIsNotAnswered(t *testing.T) {
	const create, look = "PUT /v1/acl/token", "GET /v1/acl/token/"
	lost := func(request string) consultest.Fault { return consultest.Fault{Lost: request == create} }
	t.Run("it was made, and is found", func(t *testing.T) {
		b := newBench(t)
		b.server.SetFault(lost)
		made, err := b.Mint(t.Context(), web())
		if err != nil || len(b.server.Tokens()) != 1 || b.server.Tokens()[0].SecretID != made.SecretID {
			t.Errorf("got %+v, %v", made, err)
		}
	})
	for name, fault := range map[string]func(request string) consultest.Fault{
		"it was made, and cannot be looked up": func(request string) consultest.Fault {
			if strings.HasPrefix(request, look) {
				return consultest.Fault{Status: http.StatusInternalServerError, Body: "No cluster leader"}
			}
			return lost(request)
		},
		"it was not made": func(request string) consultest.Fault {
			if request == create {
				return consultest.Fault{Status: http.StatusInternalServerError, Body: "rpc error making call: EOF"}
			}
			return consultest.Fault{}
		},
		"the answer is about nothing": func(request string) consultest.Fault {
			if request == create {
				return consultest.Fault{Status: http.StatusOK, Body: "{}"}
			}
			return consultest.Fault{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.server.SetFault(fault)
			_, err := b.Mint(t.Context(), web())
			if !consulacl.FailureOf(err).Outage() {
				t.Errorf("error %v, want an outage", err)
			}
			b.server.SetFault(nil)
			b.WaitUndone()
			if left := b.server.Tokens(); len(left) != 0 || b.meter.Undone.Load() != 1 || b.meter.Left.Load() != 0 {
				t.Errorf("left behind: %+v; undone %d, left %d", left, b.meter.Undone.Load(), b.meter.Left.Load())
			}
		})
	}
}

// A create that arrives after it was undone once is undone again.
func TestUndoTriesAgain(t *testing.T) {
	b := newBench(t)
	n := web()
	deletions := 0
	b.server.SetFault(func(request string) consultest.Fault {
		if strings.HasPrefix(request, "DELETE") {
			if deletions++; deletions == 1 {
				return consultest.Fault{After: func() { b.server.Put(consulacl.Token{AccessorID: n.AccessorID, SecretID: "late"}) }}
			}
		}
		return consultest.Fault{}
	})
	b.Undo(n.AccessorID)
	b.WaitUndone()
	if left := b.server.Tokens(); len(left) != 0 || b.meter.Undone.Load() != 1 {
		t.Errorf("left behind: %+v; undone %d", left, b.meter.Undone.Load())
	}
}

// While Consul is down it is tried again for an hour, and then the token is left to
// expire, and counted.
func TestUndoGivesUp(t *testing.T) {
	b := newBench(t)
	b.server.SetFault(func(string) consultest.Fault { return consultest.Fault{Status: 500, Body: "No cluster leader"} })
	began := b.clock.Now()
	b.Undo(consulacl.NewUUID())
	b.WaitUndone()
	took := b.clock.Now().Sub(began)
	if b.meter.Left.Load() != 1 || b.meter.Pending.Load() != 0 || took < time.Hour || took > time.Hour+2*time.Minute {
		t.Errorf("left %d, pending %d after %s", b.meter.Left.Load(), b.meter.Pending.Load(), took)
	}
	b.end()
	b.Undo(consulacl.NewUUID())
	if b.meter.Left.Load() != 2 {
		t.Error("what is left after the end is not counted")
	}
}

// A request that was carried out and made anew by whoever stands between finds its own
// token.
func TestMintOfATokenThatIsThere(t *testing.T) {
	b := newBench(t)
	n := web()
	n.SecretID = consulacl.NewUUID()
	expires := b.clock.Now().Add(time.Hour)
	b.server.Put(consulacl.Token{AccessorID: n.AccessorID, SecretID: n.SecretID, Local: true, ExpirationTime: &expires})
	if made, err := b.Mint(t.Context(), n); err != nil || made.SecretID != n.SecretID {
		t.Errorf("%+v, %v", made, err)
	}
}

// Consul allows a machine 200 connections, so many mounts share a few.
func TestClientsShareConnections(t *testing.T) {
	server := consultest.New(t)
	var group sync.WaitGroup
	for range 250 {
		b := benchOf(t, server)
		group.Go(func() {
			if _, err := b.Self(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if made := server.Connections(); made > 64 || made == 0 {
		t.Errorf("%d connections", made)
	}
}

// A client that goes away while its token is made leaves none.
func TestMintForNobody(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.server.SetFault(func(request string) consultest.Fault {
		if request == "PUT /v1/acl/token" {
			return consultest.Fault{After: cancel}
		}
		return consultest.Fault{}
	})
	_, err := b.Mint(ctx, web())
	if consulacl.FailureOf(err) != consulacl.Canceled {
		t.Errorf("error %v", err)
	}
	b.WaitUndone()
	if left := b.server.Tokens(); len(left) != 0 {
		t.Errorf("left behind: %+v", left)
	}
}

func TestRevoke(t *testing.T) {
	b := newBench(t)
	made, err := b.Mint(t.Context(), web())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is gone, and gone is revoked
		if err := b.Revoke(t.Context(), made.AccessorID); err != nil {
			t.Error(err)
		}
	}
	if left := b.server.Tokens(); len(left) != 0 {
		t.Errorf("left %+v", left)
	}
	b.server.SetOwn("another")
	if err := b.Revoke(t.Context(), made.AccessorID); consulacl.FailureOf(err) != consulacl.Unknown {
		t.Errorf("with a token that Consul does not know: %v", err)
	}
}

func TestExistsIsRemembered(t *testing.T) {
	b := newBench(t)
	b.server.Add([]string{"ops"}, []string{"read"})
	ask := func(kind consulacl.Kind, name string) bool {
		t.Helper()
		exists, err := b.Exists(t.Context(), kind, "", name)
		if err != nil {
			t.Fatal(err)
		}
		return exists
	}
	for range 3 {
		if !ask(consulacl.Role, "ops") || ask(consulacl.Role, "nobody") || !ask(consulacl.Policy, "read") || ask(consulacl.Policy, "ops") {
			t.Error("wrong")
		}
	}
	// Of a policy that is missing Consul says that an ACL was not found, which may be the
	// plugin's own: so that is asked for.
	want := []string{
		"GET /v1/acl/role/name/ops", "GET /v1/acl/role/name/nobody", "GET /v1/acl/policy/name/read",
		"GET /v1/acl/policy/name/ops", "GET /v1/acl/token/self",
	}
	if got := b.server.Requests(); !slices.Equal(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
	b.server.Remove([]string{"ops"}, nil)
	_ = b.clock.Sleep(t.Context(), 10*time.Second)
	if ask(consulacl.Role, "ops") {
		t.Error("a role that is gone for as long as it is remembered is there")
	}
	b.server.Add([]string{"ops"}, nil)
	b.ForgetNames()
	if !ask(consulacl.Role, "ops") {
		t.Error("what was forgotten is remembered")
	}
	b.server.SetOwn("another")
	if _, err := b.Exists(t.Context(), consulacl.Policy, "", "new"); consulacl.FailureOf(err) != consulacl.Unknown {
		t.Errorf("a token that is gone passes for a policy that is: %v", err)
	}
}

// Many who ask for the same name at a time are one request.
func TestExistsIsAskedOnce(t *testing.T) {
	b := newBench(t)
	hang := make(chan struct{})
	b.server.Add([]string{"ops"}, nil)
	b.server.SetFault(func(string) consultest.Fault { return consultest.Fault{Hang: hang} })
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if exists, err := b.Exists(t.Context(), consulacl.Role, "", "ops"); !exists || err != nil {
				t.Errorf("%t, %v", exists, err)
			}
		})
	}
	close(hang)
	group.Wait()
	if got := len(b.server.Requests()); got > 2 { // one who came late may ask again
		t.Errorf("%d requests", got)
	}
}

// Nothing that a name may have leads elsewhere than to that name.
func TestNamesStayNames(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"..", ".", "../../../v1/agent/self", "a/b", "a?ns=x", "a#b", "a%2Fb", "a b", "a\nb"} {
		if exists, err := b.Exists(t.Context(), consulacl.Role, "", name); exists || err != nil {
			t.Errorf("%q: %t, %v", name, exists, err)
		}
		got := b.server.Requests()
		if len(got) != 1 || !strings.HasPrefix(got[0], "GET /v1/acl/role/name/") || strings.ContainsAny(strings.TrimPrefix(got[0], "GET /v1/acl/role/name/"), "/?# ") {
			t.Errorf("%q asked %q", name, got)
		}
	}
}

func TestFailures(t *testing.T) {
	for name, row := range map[string]struct {
		status int
		body   string
		want   consulacl.Failure
	}{
		"no ACLs":          {401, "ACL support disabled", consulacl.Disabled},
		"not allowed":      {403, "Permission denied: lacks permission 'acl:write'", consulacl.Denied},
		"own token gone":   {403, "ACL not found", consulacl.Unknown},
		"no leader":        {500, "No cluster leader", consulacl.ServerError},
		"rate limit":       {429, "", consulacl.Overloaded},
		"rate limit, late": {503, "rate limit exceeded, try again later", consulacl.Overloaded},
		"a gateway's":      {502, "<html>Bad Gateway</html>", consulacl.ServerError},
		"a later field":    {400, "Request decode failed", consulacl.Refused},
		"role gone":        {500, `No such ACL role with name "ops"`, consulacl.Refused},
		"a redirect":       {302, "", consulacl.Malformed},
		"no Consul":        {200, "<html>", consulacl.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.server.SetFault(func(string) consultest.Fault { return consultest.Fault{Status: row.status, Body: row.body} })
			_, err := b.Self(t.Context())
			if got := consulacl.FailureOf(err); got != row.want {
				t.Errorf("%v: %q, want %q", err, got, row.want)
			}
		})
	}
}

func TestOutages(t *testing.T) {
	t.Run("nobody listens", func(t *testing.T) {
		b := newBench(t)
		b.server.Close()
		if _, err := b.Self(t.Context()); consulacl.FailureOf(err) != consulacl.Unreachable {
			t.Errorf("error %v", err)
		}
	})
	t.Run("silence", func(t *testing.T) {
		b := newBench(t, func(o *consulacl.Options) { o.Timeout = 50 * time.Millisecond })
		hang := make(chan struct{})
		t.Cleanup(func() { close(hang) })
		b.server.SetFault(func(string) consultest.Fault { return consultest.Fault{Hang: hang} })
		if _, err := b.Self(t.Context()); consulacl.FailureOf(err) != consulacl.Timeout {
			t.Errorf("error %v", err)
		}
	})
	t.Run("another certificate", func(t *testing.T) {
		b := benchOf(t, consultest.NewTLS(t))
		if _, err := b.Self(t.Context()); consulacl.FailureOf(err) != consulacl.TLS {
			t.Errorf("error %v", err)
		}
	})
	t.Run("the right certificate", func(t *testing.T) {
		server := consultest.NewTLS(t)
		ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
		b := benchOf(t, server, func(o *consulacl.Options) { o.CAPEM = ca })
		if _, err := b.Self(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Nothing that Consul, or who stands before it, says repeats a secret.
func TestErrorsHoldNoSecret(t *testing.T) {
	b := newBench(t)
	const secret = "c0ffee00-1234-4abc-9def-00112233aabb"
	echo := consultest.OwnToken + " " + secret + " " + url.QueryEscape(secret) + " " + strings.ToUpper(secret)
	b.server.SetFault(func(string) consultest.Fault {
		return consultest.Fault{Status: 500, Body: strings.Repeat("x ", 1010) + echo}
	})
	err1 := b.RevokeWith(t.Context(), secret, "x")
	_, err2 := b.Self(t.Context())
	n := web()
	n.SecretID = secret
	_, err3 := b.Mint(t.Context(), n)
	for _, err := range []error{err1, err2, err3} {
		for _, part := range []string{consultest.OwnToken[:18], secret[:18]} {
			if err == nil || strings.Contains(strings.ToLower(err.Error()), part) {
				t.Errorf("error %v", err)
			}
		}
	}
	if err := b.RevokeWith(t.Context(), "a\r\nX-Other: b", "x"); err == nil || !errors.As(err, new(*consulacl.Error)) {
		t.Errorf("a secret with line feeds: %v", err)
	}
}

func TestKeyed(t *testing.T) {
	key := func(b byte) []byte { return []byte(strings.Repeat(string(b), consulacl.KeySize)) }
	ours, others := consulacl.NewKeyed(key('a')), consulacl.NewKeyed(key('b'))
	seen := map[string]bool{}
	for range 100 {
		accessor, secret := ours.New()
		if !ours.OwnsSecret(secret) || !ours.OwnsAccessor(accessor) || ours.AccessorOf(strings.ToUpper(secret)) != accessor || !ours.OwnsSecret(strings.ToUpper(secret)) {
			t.Fatalf("%s of %s is not ours", accessor, secret)
		}
		if ours.OwnsSecret(accessor) || ours.OwnsAccessor(secret) || others.OwnsSecret(secret) || others.OwnsAccessor(accessor) || others.AccessorOf(secret) == accessor {
			t.Fatalf("%s of %s passes for what it is not", accessor, secret)
		}
		if seen[accessor] || seen[secret] {
			t.Fatal("twice")
		}
		seen[accessor], seen[secret] = true, true
		for i := range secret { // each letter counts
			changed := []byte(secret)
			if changed[i] == '-' {
				continue
			}
			changed[i] = "123456789abcdef0"[strings.IndexByte("0123456789abcdef", changed[i])]
			if ours.OwnsSecret(string(changed)) {
				t.Errorf("%s passes for %s", changed, secret)
			}
		}
	}
	for _, not := range []string{"", "x", consulacl.NewUUID(), "00000000-0000-0000-0000-000000000002"} {
		if ours.OwnsSecret(not) || ours.OwnsAccessor(not) {
			t.Errorf("%q is ours", not)
		}
	}
	none := consulacl.NewKeyed(nil)
	if _, secret := none.New(); none.OwnsSecret(secret) {
		t.Error("without a key anybody makes secrets")
	}
}

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"https://consul:8501": "https://consul:8501", " http://127.0.0.1:8500/ ": "http://127.0.0.1:8500",
		"https://front/consul/": "https://front/consul", "https://[fd00::1]:8501": "https://[fd00::1]:8501",
		"consul:8500": "", "127.0.0.1:8500": "", "": "", "unix:///run/consul": "", "https://": "", "https://u:p@h": "", "https://h?token=x": "", "http://h#f": "",
	} {
		got, err := consulacl.ParseAddress(text)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%q: %v, %v, want %q", text, got, err, want)
		}
	}
	if _, err := consulacl.ParseAddress("consul.example:8501"); !strings.Contains(fmt.Sprint(err), "write https://consul.example:8501,") {
		t.Errorf("without a scheme: %v", err)
	}
	if _, err := consulacl.ParseAddress("me:hunter2@consul:8501"); strings.Contains(fmt.Sprint(err), "hunter2") {
		t.Errorf("the password is repeated: %v", err)
	}
}

func TestPathPrefixAndDatacenter(t *testing.T) {
	b := newBench(t, func(o *consulacl.Options) { o.Address = o.Address.JoinPath("front"); o.Datacenter = "dc 2" })
	_, _ = b.Self(t.Context())
	if got := b.server.Requests(); !slices.Equal(got, []string{"GET /front/v1/acl/token/self?dc=dc+2"}) {
		t.Errorf("requests %q", got)
	}
	if name, err := b.Datacenter(t.Context()); name != "dc 2" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
	other := newBench(t)
	for range 2 {
		if name, err := other.Datacenter(t.Context()); name != "dc1" || err != nil {
			t.Errorf("%q, %v", name, err)
		}
	}
	if got := other.server.Requests(); len(got) != 1 {
		t.Errorf("requests %q", got)
	}
}

// The environment is about another Consul, such as the one that Vault keeps its data in.
func TestEnvironmentIsNotAsked(t *testing.T) {
	for name, value := range map[string]string{
		"CONSUL_HTTP_ADDR": "http://127.0.0.1:1", "CONSUL_HTTP_TOKEN": "x", "CONSUL_HTTP_TOKEN_FILE": "/nowhere",
		"CONSUL_NAMESPACE": "n", "CONSUL_PARTITION": "p", "CONSUL_HTTP_SSL": "true", "CONSUL_HTTP_AUTH": "a:b",
	} {
		t.Setenv(name, value)
	}
	b := newBench(t)
	if _, err := b.Mint(t.Context(), web()); err != nil {
		t.Error(err)
	}
}
