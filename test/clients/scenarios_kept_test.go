package clients

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// brief are settings of tokens that have to be renewed after seconds.
func brief(maxTTL string) fields { return fields{"token_ttl": "6s", "token_max_ttl": maxTTL} }

// started is a client that has its first token.
func started(t *testing.T, c client, m *mount) (*process, token) {
	t.Helper()
	p := c.keep(t, m.place(byRules))
	return p, m.await("logged in", grantedByRule)
}

// next is what becomes of a client whose token comes to nothing: one that has none for a while
// stays without.
func next(m *mount, c client, p *process, what string, is func(token) bool) string {
	m.t.Helper()
	deadline, had := time.Now().Add(2*time.Minute), time.Now()
	for time.Now().Before(deadline) {
		if p.ended() {
			return "ends"
		}
		all := m.tokens()
		for _, one := range all {
			had = time.Now()
			if is(one) {
				return "logs in again"
			}
		}
		if time.Since(had) > patience+c.idle {
			return staysWithout
		}
		time.Sleep(200 * time.Millisecond)
	}
	m.t.Fatalf("no token that is %s; there are %+v", what, m.tokens())
	return ""
}

// patience is how long a client may be without a token until it counts as one that does not
// get another. Those here wait for seconds between two tries, and some until they want something
// of Vault.
const patience = 25 * time.Second

const staysWithout = "stays without"

func rotated(t *testing.T, c client) string {
	m := newMount(t, settings{role: brief("8s")})
	p, _ := started(t, c, m)
	// The file has the token of another account from now on, so that it is seen which was read.
	other := newAccount(t, m.account.name+"-2", m.account.file)
	got := next(m, c, p, "the other account's", func(one token) bool { return one.Meta["service_account_uid"] == other.uid })
	if got != "logs in again" {
		return got
	}
	return "reads it"
}

func renews(t *testing.T, c client) string {
	m := newMount(t, settings{role: brief("1h")})
	p, first := started(t, c, m)
	renewed := func(one token) bool { return one.Accessor == first.Accessor && one.LastRenewal > one.Created+5 }
	if got := next(m, c, p, "renewed twice", renewed); got != "logs in again" {
		return got
	}
	if all := m.tokens(); len(all) != 1 {
		t.Errorf("it has logged in again: %+v", all)
	}
	return "renews"
}

func tokenEnds(t *testing.T, c client) string {
	m := newMount(t, settings{role: brief("8s")})
	p, first := started(t, c, m)
	return next(m, c, p, "another", func(one token) bool { return one.Accessor != first.Accessor })
}

// accountAnew has the renewal refused, since the account of the token is gone.
func accountAnew(t *testing.T, c client) string {
	m := newMount(t, settings{role: brief("1h")})
	p, _ := started(t, c, m)
	anew := m.account.anew(t)
	return next(m, c, p, "of the new account", func(one token) bool { return one.Meta["service_account_uid"] == anew.uid })
}

// pluginKilled kills the plugin's process while the client renews, again and again, and
// reloads it once: the client keeps its token.
func pluginKilled(t *testing.T, c client) string {
	vault, err := bed.StartVaultApart(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vault.Stop(); err != nil {
			t.Error(err)
		}
	})
	// A busy machine takes seconds to start the plugin again, and the token has to outlive that.
	m := newMount(t, settings{role: fields{"token_ttl": "18s", "token_max_ttl": "1h"}, vault: vault})
	p, first := started(t, c, m)
	for range 7 {
		killPlugins(t, vault)
		time.Sleep(2 * time.Second) // renewals come every 12
	}
	m.write("sys/plugins/reload/backend", fields{"mounts": "auth/" + m.path + "/"})
	after := time.Now().Unix()
	kept := func(one token) bool { return one.Accessor == first.Accessor && one.LastRenewal > after }
	if got := next(m, c, p, "kept", kept); got != "logs in again" {
		return got
	}
	return "keeps the token"
}

// killPlugins kills the processes of the plugin that a Vault has started.
func killPlugins(t *testing.T, vault *testbed.Vault) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, file := range processes {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		var pid, parent int
		name := stat[strings.IndexByte(string(stat), '(')+1 : strings.LastIndexByte(string(stat), ')')]
		if _, err := fmt.Sscan(string(stat), &pid); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscanf(string(stat[strings.LastIndexByte(string(stat), ')')+4:]), "%d", &parent); err != nil {
			t.Fatal(err)
		}
		if parent == vault.PID && strings.HasPrefix(testbed.PluginName, string(name)) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
				killed++
			}
		}
	}
	if killed == 0 {
		t.Log("there was no process of the plugin to kill")
	}
}

// unwrapSink takes the token out of a sink that wraps it.
func unwrapSink(t *testing.T, m *mount, p place) {
	t.Helper()
	text, err := os.ReadFile(sinkFile(p))
	if err != nil {
		t.Fatal(err)
	}
	var wrap struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(text, &wrap); err != nil {
		t.Fatalf("the sink has %s", text)
	}
	client, err := m.client.Clone()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := client.Logical().UnwrapWithContext(t.Context(), wrap.Token)
	if err != nil || secret == nil {
		t.Fatalf("the sink's token cannot be unwrapped: %v", err)
	}
}
