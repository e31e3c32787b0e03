package consul

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	vault "github.com/hashicorp/vault/api"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// as is a client of Vault with another token.
func (f *fixture) as(t *testing.T, token string) *vault.Client {
	t.Helper()
	client, err := f.vault.Clone()
	if err != nil {
		t.Fatal(err)
	}
	client.SetToken(token)
	return client
}

// lease asks for a token with a lease, with a token of Vault's.
func (f *fixture) lease(t *testing.T, m *mint, with *vault.Client, account string) *vault.Secret {
	t.Helper()
	secret, err := with.Logical().WriteWithContext(t.Context(), m.path+"/consul/token/kubernetes", map[string]any{"jwt": f.accounts[account].jwt})
	if err != nil {
		t.Fatal(err)
	}
	if secret.LeaseID == "" || !secret.Renewable || secret.Data["token"] == "" {
		t.Fatalf("got %+v", secret)
	}
	return secret
}

// alive tells whether Consul has the token of a lease.
func (f *fixture) alive(t *testing.T, secret *vault.Secret) bool {
	t.Helper()
	_, _, err := f.consul.ACL().TokenRead(secret.Data["accessor"].(string), nil)
	if err != nil && !strings.Contains(err.Error(), "ACL not found") && !strings.Contains(err.Error(), "does not exist") {
		t.Fatal(err)
	}
	return err == nil
}

func (f *fixture) wantAlive(t *testing.T, secret *vault.Secret, want bool, when string) {
	t.Helper()
	if got := f.alive(t, secret); got != want {
		t.Errorf("%s the token is there: %t", when, got)
	}
}

// awaitGone waits for what Vault does by itself.
func (f *fixture) awaitGone(t *testing.T, secret *vault.Secret, within time.Duration, when string) {
	t.Helper()
	deadline := time.Now().Add(within)
	for f.alive(t, secret) {
		if time.Now().After(deadline) {
			t.Errorf("%s the token is still there after %s", when, within)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// child is a token of Vault's own, and a client with it.
func (f *fixture) child(t *testing.T) (*vault.Client, string) {
	t.Helper()
	secret, err := f.vault.Auth().Token().CreateWithContext(t.Context(), &vault.TokenCreateRequest{Policies: []string{"root"}})
	if err != nil {
		t.Fatal(err)
	}
	return f.as(t, secret.Auth.ClientToken), secret.Auth.ClientToken
}

// A token with a lease is there as long as its lease, whatever ends that.
func TestLeases(t *testing.T) {
	f := servers(t)
	m := f.newShop(t)
	sys := f.vault.Sys()
	t.Run("revoked", func(t *testing.T) {
		secret := f.lease(t, m, f.vault, "prod/web")
		f.wantAlive(t, secret, true, "at first")
		renewed, err := sys.RenewWithContext(t.Context(), secret.LeaseID, 3000)
		if err != nil || renewed.LeaseDuration > 3600 || renewed.LeaseDuration < 2990 {
			t.Errorf("renewal: %+v, %v", renewed, err)
		}
		if err := sys.RevokeWithContext(t.Context(), secret.LeaseID); err != nil {
			t.Error(err)
		}
		f.awaitGone(t, secret, 10*time.Second, "revoked")
	})
	t.Run("renewed beyond its end", func(t *testing.T) {
		secret := f.lease(t, m, f.vault, "prod/web")
		renewed, err := sys.RenewWithContext(t.Context(), secret.LeaseID, 100_000)
		if err != nil || renewed.LeaseDuration > 3600 || len(renewed.Warnings) == 0 {
			t.Errorf("renewal: %+v, %v", renewed, err)
		}
	})
	t.Run("revoked by prefix", func(t *testing.T) {
		secrets := []*vault.Secret{f.lease(t, m, f.vault, "prod/web"), f.lease(t, m, f.vault, "prod/api")}
		if err := sys.RevokePrefixWithContext(t.Context(), m.path+"/consul/token"); err != nil {
			t.Error(err)
		}
		for _, secret := range secrets {
			f.awaitGone(t, secret, 10*time.Second, "revoked by prefix")
		}
	})
	t.Run("the Vault token that asked is revoked", func(t *testing.T) {
		client, token := f.child(t)
		secret := f.lease(t, m, client, "prod/web")
		if err := f.vault.Auth().Token().RevokeTreeWithContext(t.Context(), token); err != nil {
			t.Error(err)
		}
		f.awaitGone(t, secret, 10*time.Second, "its parent revoked")
	})
	t.Run("deleted behind our back", func(t *testing.T) {
		secret := f.lease(t, m, f.vault, "prod/web")
		if _, err := f.consul.ACL().TokenDelete(secret.Data["accessor"].(string), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := sys.RenewWithContext(t.Context(), secret.LeaseID, 60); err == nil {
			t.Error("a token that is gone is renewed")
		}
		if err := sys.RevokeWithOptionsWithContext(t.Context(), &vault.RevokeOptions{LeaseID: secret.LeaseID, Sync: true}); err != nil {
			t.Errorf("gone is not revoked: %v", err)
		}
	})
	t.Run("sealed and unsealed", func(t *testing.T) {
		secret := f.lease(t, m, f.vault, "prod/web")
		if err := f.host.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.wantAlive(t, secret, true, "after a restart")
		if err := sys.RevokeWithOptionsWithContext(t.Context(), &vault.RevokeOptions{LeaseID: secret.LeaseID, Sync: true}); err != nil {
			t.Error(err)
		}
		f.wantAlive(t, secret, false, "revoked after a restart")
	})
	t.Run("the plugin killed", func(t *testing.T) {
		secret := f.lease(t, m, f.vault, "prod/web")
		f.killPlugin(t)
		f.awaitPlugin(t, m)
		if err := sys.RevokeWithOptionsWithContext(t.Context(), &vault.RevokeOptions{LeaseID: secret.LeaseID, Sync: true}); err != nil {
			t.Error(err)
		}
		f.wantAlive(t, secret, false, "revoked after the plugin was killed")
	})
	t.Run("Consul down during the revocation", func(t *testing.T) {
		m.must(t, "consul/config", map[string]any{"request_timeout": 1})
		secret := f.lease(t, m, f.vault, "prod/web")
		f.pauseConsul(t)
		if err := sys.RevokeWithOptionsWithContext(t.Context(), &vault.RevokeOptions{LeaseID: secret.LeaseID, Sync: true}); err == nil {
			t.Error("while Consul is down it passes for revoked")
		}
		if err := sys.RevokeWithOptionsWithContext(t.Context(), &vault.RevokeOptions{LeaseID: secret.LeaseID}); err != nil {
			t.Error(err)
		}
		f.resumeConsul(t) // Vault tries again by itself
		f.awaitGone(t, secret, time.Minute, "revoked while Consul was down")
	})
	t.Run("the mount disabled", func(t *testing.T) {
		secrets := []*vault.Secret{f.lease(t, m, f.vault, "prod/web"), f.lease(t, m, f.vault, "prod/api")}
		if err := sys.DisableAuthWithContext(t.Context(), strings.TrimPrefix(m.path, "auth/")); err != nil {
			t.Error(err)
		}
		for _, secret := range secrets {
			f.awaitGone(t, secret, 10*time.Second, "the mount disabled")
		}
	})
}

// Who logged in to Vault gets the Consul token of its own service account, with a Vault
// token alone, and it goes with that.
func TestLeaseOfAVaultToken(t *testing.T) {
	f := servers(t)
	m := f.newShop(t)
	mounts, err := f.vault.Sys().ListAuthWithContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.must(t, "consul/config", map[string]any{"mount_accessor": mounts[strings.TrimPrefix(m.path, "auth/")+"/"].Accessor})
	policy := "consul-" + filepath.Base(m.path)
	if err := f.vault.Sys().PutPolicyWithContext(t.Context(), policy, fmt.Sprintf(`path "%s/consul/token/*" { capabilities = ["read"] }`, m.path)); err != nil {
		t.Fatal(err)
	}
	m.must(t, "role/pods", map[string]any{"bound_service_account_names": "*", "bound_service_account_namespaces": "prod", "token_policies": policy})
	login, err := f.vault.Logical().WriteWithContext(t.Context(), m.path+"/login", map[string]any{"role": "pods", "jwt": f.accounts["prod/web"].jwt})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := f.as(t, login.Auth.ClientToken).Logical().ReadWithContext(t.Context(), m.path+"/consul/token/kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(secret.Data["service_identities"]); got != "[web]" {
		t.Errorf("it is %s", got)
	}
	if err := f.vault.Auth().Token().RevokeTreeWithContext(t.Context(), login.Auth.ClientToken); err != nil {
		t.Error(err)
	}
	f.awaitGone(t, secret, 10*time.Second, "the Vault token revoked")
	if _, err := f.vault.Logical().ReadWithContext(t.Context(), m.path+"/consul/token/kubernetes"); err == nil {
		t.Error("a Vault token of nobody's gets one")
	}
}

// killPlugin ends the plugin's process at once. Vault starts it anew.
func (f *fixture) killPlugin(t *testing.T) {
	t.Helper()
	executables, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, link := range executables {
		if target, err := os.Readlink(link); err == nil && target == f.bed.PluginBinary {
			var pid int
			if _, err := fmt.Sscanf(link, "/proc/%d/exe", &pid); err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil {
				killed++
			}
		}
	}
	if killed == 0 {
		t.Fatal("there is no process of the plugin")
	}
}

// awaitPlugin waits until Vault has started the plugin anew, which it does when it is asked
// for something.
func (f *fixture) awaitPlugin(t *testing.T, m *mint) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		_, err := f.vault.Logical().ReadWithContext(t.Context(), m.path+"/consul/config")
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// pauseConsul makes Consul answer nothing, with its state kept: a server in development
// mode has it in memory.
func (f *fixture) pauseConsul(t *testing.T) {
	t.Helper()
	if err := testbed.Pause(f.server.PID); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(f.server.PID, syscall.SIGCONT) })
}

func (f *fixture) resumeConsul(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(f.server.PID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// A kill at any moment of a login leaves at most tokens that expire by themselves.
func TestKillsDuringLogins(t *testing.T) {
	f := servers(t)
	m := f.newShop(t)
	got := map[string]bool{}
	results := make(chan string, 400)
	var killed bool
	inParallel(400, 16, func(i int) bool {
		if i == 150 && !killed {
			killed = true
			f.killPlugin(t)
		}
		token, _, err := m.client.ACL().Login(&consul.ACLLoginParams{
			AuthMethod: "kubernetes", BearerToken: f.accounts["prod/web"].jwt, Meta: map[string]string{"pod": "killed"},
		}, nil)
		if err == nil {
			results <- token.AccessorID
		}
		return err == nil
	})
	close(results)
	for accessor := range results {
		got[accessor] = true
	}
	left := 0
	for _, e := range f.ownTokens(t, "killed") {
		if e.ExpirationTime == nil || e.ExpirationTime.Sub(e.CreateTime) > time.Hour {
			t.Errorf("%s never ends", e.AccessorID)
		}
		if !got[e.AccessorID] {
			left++
		}
		delete(got, e.AccessorID)
	}
	if len(got) > 0 {
		t.Errorf("tokens that were handed out are gone: %q", slices.Collect(maps.Keys(got)))
	}
	if left > 16 {
		t.Errorf("%d tokens are left that nobody got; 16 logins were under way", left)
	}
	t.Logf("%d tokens are left to expire", left)
}

// No secret of Consul's is in a log of Vault's or the plugin's, nor in the audit log.
func TestConsulSecretsStaySecret(t *testing.T) {
	f := servers(t)
	m := f.newShop(t)
	audit := filepath.Join(t.TempDir(), "audit.log")
	name := "consul-" + filepath.Base(m.path)
	err := f.vault.Sys().EnableAuditWithOptionsWithContext(t.Context(), name, &vault.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": audit}})
	if err != nil {
		t.Fatal(err)
	}
	token := m.token(t, f.accounts["prod/web"].jwt)
	secret := f.lease(t, m, f.vault, "prod/web")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.host.Addr+"/v1/"+m.path+"/v1/acl/logout", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Consul-Token", token.SecretID)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if err := f.vault.Sys().DisableAuditWithContext(t.Context(), name); err != nil {
		t.Error(err)
	}
	for _, file := range []string{audit, f.host.LogPath} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) == 0 {
			t.Errorf("%s is empty", file)
		}
		for what, secret := range map[string]string{
			"a login's token": token.SecretID, "a lease's token": secret.Data["token"].(string),
			"the plugin's own": f.server.ManagementToken, "the pod's": f.accounts["prod/web"].jwt,
		} {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s holds %s", filepath.Base(file), what)
			}
		}
	}
}
