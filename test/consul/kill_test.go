package consul

import (
	"context"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	vault "github.com/hashicorp/vault/api"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// apart is the same cluster with a Vault and a Consul of the test's own, which may be
// killed. Both have their state on disk.
func (f *fixture) apart(t *testing.T) *fixture {
	t.Helper()
	own := *f
	var err error
	if own.server, err = testbed.StartLastingConsul(t.Context(), f.binary, filepath.Join(f.bed.Dir, t.Name(), "consul")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, own.server) })
	if own.host, err = f.bed.StartVaultApart(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, own.host) })
	own.consul, err = own.server.Client()
	if err == nil {
		own.vault, err = own.host.Client()
	}
	if err != nil {
		t.Fatal(err)
	}
	return &own
}

func stop(t *testing.T, server interface{ Stop() error }) {
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
}

// minted are the tokens that Consul has of this plugin.
func (f *fixture) minted(t *testing.T) (list []*consul.ACLTokenListEntry) {
	t.Helper()
	all, _, err := f.consul.ACL().TokenList((&consul.QueryOptions{}).WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e *consul.ACLTokenListEntry) bool { return len(e.ServiceIdentities) == 0 })
}

// nobodys counts the tokens that no client got. All others have to be there, and all have
// to have an end.
func (f *fixture) nobodys(t *testing.T, got map[string]string) (left int) {
	t.Helper()
	there := map[string]bool{}
	for _, e := range f.minted(t) {
		there[e.AccessorID] = true
		if e.ExpirationTime == nil || e.ExpirationTime.Sub(e.CreateTime) > time.Hour {
			t.Errorf("%s never ends", e.AccessorID)
		}
		if got[e.AccessorID] == "" {
			left++
		}
	}
	for accessor, door := range got {
		if !there[accessor] {
			t.Errorf("%s was handed out by the %s and is gone", accessor, door)
		}
	}
	return left
}

// unclaimed is how many tokens Consul has now that no client has got yet, among them those
// of logins under way.
func (f *fixture) unclaimed(t *testing.T, got *handedOut) (count int) {
	t.Helper()
	list := f.minted(t)
	got.mu.Lock()
	defer got.mu.Unlock()
	for _, e := range list {
		if got.tokens[e.AccessorID] == "" {
			count++
		}
	}
	return count
}

const (
	killedOften   = 3
	killedWorkers = 8
	killedWithin  = 2 * time.Minute // some 20 seconds where nothing else runs
)

// killedMeanwhile has a server killed again and again while clients log in by both doors.
func (f *fixture) killedMeanwhile(t *testing.T, m *mint, kill func(context.Context, *handedOut), restart func(context.Context) error) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), killedWithin)
	defer cancel()
	got, wait := f.logins(ctx, t, m, killedWorkers)
	defer wait()
	defer cancel()
	for i := range int64(killedOften) {
		awaitMore(ctx, t, &got.count, 30+7*i) // not in step with the clients
		kill(ctx, got)
		if err := restart(ctx); err != nil {
			t.Fatal(err)
		}
	}
	awaitMore(ctx, t, &got.count, 30)
	cancel()
	wait()
	return got.tokens
}

func signal(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// Vault killed while pods log in leaves tokens that expire, of the logins under way and
// no others; and it knows the leases of all that it handed out.
func TestVaultKilledDuringLogins(t *testing.T) {
	f := servers(t).apart(t)
	m := f.newShop(t)
	got := f.killedMeanwhile(t, m, func(context.Context, *handedOut) { signal(t, f.host.PID, syscall.SIGKILL) }, f.host.Restart)
	left := f.nobodys(t, got)
	if most := killedOften * killedWorkers; left > most {
		t.Errorf("%d tokens are left that nobody got; %d logins were under way", left, most)
	}
	f.revokeLeases(t, m)
	leased := 0
	for _, e := range f.minted(t) {
		if got[e.AccessorID] == byLease {
			leased++
		}
		delete(got, e.AccessorID)
	}
	for accessor, door := range got {
		if door == byLogin {
			t.Errorf("%s, of a login, went with the leases", accessor)
		}
	}
	if leased > 0 {
		t.Errorf("%d tokens are there after all leases were revoked", leased)
	}
	t.Logf("%d tokens of logins that were under way were left to expire", left)
}

// revokeLeases has Vault take back all that it knows the leases of.
func (f *fixture) revokeLeases(t *testing.T, m *mint) {
	t.Helper()
	err := f.vault.Sys().RevokeWithOptionsWithContext(t.Context(), &vault.RevokeOptions{LeaseID: m.path + "/consul/token", Prefix: true, Sync: true})
	if err != nil {
		t.Fatal(err)
	}
}

// Consul killed while pods log in leaves nothing in the end, since the plugin knows what
// it has asked for; what it has handed out is there. Before it is killed it hangs, and
// then carries out what nobody waits for any more.
func TestConsulKilledDuringLogins(t *testing.T) {
	f := servers(t).apart(t)
	m := f.newShop(t)
	m.must(t, "consul/config", map[string]any{"request_timeout": 1})
	late := 0
	got := f.killedMeanwhile(t, m, func(ctx context.Context, got *handedOut) {
		if err := testbed.Pause(f.server.PID); err != nil {
			t.Error(err)
		}
		awaitMore(ctx, t, &got.failed, killedWorkers)
		signal(t, f.server.PID, syscall.SIGCONT)
		awaitMore(ctx, t, &got.count, 1)
		late += f.unclaimed(t, got)
		signal(t, f.server.PID, syscall.SIGKILL)
	}, f.server.Restart)
	left := f.nobodys(t, got)
	t.Logf("%d tokens that nobody had were there when it was killed, and %d are now", late, left)
	for deadline := time.Now().Add(time.Minute); left > 0; left = f.nobodys(t, got) {
		if time.Now().After(deadline) {
			t.Fatalf("%d tokens are there that nobody got", left)
		}
		time.Sleep(200 * time.Millisecond)
	}
	if len(got) < killedOften*30 {
		t.Errorf("only %d logins", len(got))
	}
	t.Logf("%d tokens were handed out", len(got))
}
