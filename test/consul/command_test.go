package consul

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	consul "github.com/hashicorp/consul/api"
)

// newShop is a mount where each service account of the namespace prod is the service of
// its name, and whose logins out Vault lets through.
func (f *fixture) newShop(t *testing.T) *mint {
	t.Helper()
	m := f.newMint(t)
	if refusal := m.write(t, service(`serviceaccount.namespace == "prod"`, "${serviceaccount.name}")); refusal != "" {
		t.Fatal(refusal)
	}
	_, err := f.vault.Logical().WriteWithContext(t.Context(), "sys/mounts/"+m.path+"/tune", map[string]any{"passthrough_request_headers": []string{"X-Consul-Token"}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// run runs the consul command with a Consul at an address, and returns what it prints and
// whether it succeeded.
func (f *fixture) run(t *testing.T, address string, args ...string) (string, bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), f.binary, args...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "CONSUL_") }), "CONSUL_HTTP_ADDR="+address)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err == nil
}

// The consul command, as it is, logs in through Vault with a pod's token; what it gets is
// good for the pod's own service and no other, and is gone after a logout.
func TestConsulCommand(t *testing.T) {
	f := servers(t)
	m := f.newShop(t)
	dir := t.TempDir()
	bearer, sink := filepath.Join(dir, "jwt"), filepath.Join(dir, "token")
	if err := os.WriteFile(bearer, []byte(f.accounts["prod/web"].jwt), 0o600); err != nil {
		t.Fatal(err)
	}
	mount := f.host.Addr + "/v1/" + m.path
	must := func(address string, args ...string) string {
		t.Helper()
		out, ok := f.run(t, address, args...)
		if !ok {
			t.Fatalf("consul %q: %s", args, out)
		}
		return out
	}
	refused := func(address string, args ...string) string {
		t.Helper()
		out, ok := f.run(t, address, args...)
		if ok {
			t.Fatalf("consul %q is allowed: %s", args, out)
		}
		return out
	}

	must(mount, "login", "-method=kubernetes", "-bearer-token-file="+bearer, "-token-sink-file="+sink, "-meta", "pod=web-1")
	self := must(f.server.Addr, "acl", "token", "read", "-self", "-token-file="+sink)
	for _, want := range []string{`token created via login: {"pod":"web-1"}`, "Local:            true", "Service Identities:\n   web", "Expiration Time:"} {
		if !strings.Contains(self, want) {
			t.Errorf("the token is\n%s\nand not %q", self, want)
		}
	}
	must(f.server.Addr, "services", "register", "-name=web", "-token-file="+sink)
	if out := refused(f.server.Addr, "services", "register", "-name=api", "-token-file="+sink); !strings.Contains(out, "403") {
		t.Errorf("another service: %s", out)
	}
	if out := must(f.server.Addr, "catalog", "services", "-token-file="+sink); !strings.Contains(out, "web") {
		t.Errorf("services are %q", out)
	}
	must(f.server.Addr, "services", "deregister", "-id=web", "-token-file="+sink)

	must(mount, "logout", "-token-file="+sink)
	if out := refused(f.server.Addr, "acl", "token", "read", "-self", "-token-file="+sink); !strings.Contains(out, "ACL not found") {
		t.Errorf("after the logout: %s", out)
	}

	refusedSink := filepath.Join(dir, "none")
	for name, args := range map[string][]string{
		"another method": {"-method=minikube", "-bearer-token-file=" + bearer},
		"no account":     {"-method=kubernetes", "-bearer-token-file=" + filepath.Join("testdata", "no-token")},
	} {
		if out := refused(mount, append([]string{"login", "-token-sink-file=" + refusedSink}, args...)...); !strings.Contains(out, "403") && !strings.Contains(out, "no such file") {
			t.Errorf("%s: %s", name, out)
		}
	}
	if out := refused(mount, "logout", "-token="+f.server.ManagementToken); !strings.Contains(out, "wasn't created via login") {
		t.Errorf("a token that no login made is logged out: %s", out)
	}
}

// The same with Consul's client for Go.
func TestConsulClient(t *testing.T) {
	f := servers(t)
	m := f.newShop(t)
	token := m.token(t, f.accounts["prod/payments-sa"].jwt)
	if token == nil || token.AuthMethod != "kubernetes" {
		t.Fatalf("got %+v", token)
	}
	with := func(address string) *consul.Client {
		client, err := consul.NewClient(&consul.Config{Address: address, Token: token.SecretID, HttpClient: http.DefaultClient})
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	own := with(f.server.Addr)
	self, _, err := own.ACL().TokenReadSelf(nil)
	if err != nil || self.AccessorID != token.AccessorID {
		t.Fatalf("%+v, %v", self, err)
	}
	if err := own.Agent().ServiceRegister(&consul.AgentServiceRegistration{Name: "payments"}); err != nil {
		t.Error(err)
	}
	if err := own.Agent().ServiceRegister(&consul.AgentServiceRegistration{Name: "web"}); err == nil {
		t.Error("another service can be registered")
	}
	if services, _, err := own.Catalog().Service("payments", "", nil); err != nil || len(services) != 1 {
		t.Errorf("%+v, %v", services, err)
	}
	if err := own.Agent().ServiceDeregister("payments"); err != nil {
		t.Error(err)
	}
	if _, err := with(f.host.Addr + "/v1/" + m.path).ACL().Logout(nil); err != nil {
		t.Error(err)
	}
	if _, _, err := own.ACL().TokenReadSelf(nil); err == nil {
		t.Error("the token is there after the logout")
	}
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// Who is refused learns no more than that, and no more is left of it.
func TestConsulSeesNothingOfForgedTokens(t *testing.T) {
	f := servers(t)
	m := f.newShop(t)
	before := f.requestsToConsul(t)
	valid := f.accounts["prod/web"].jwt
	body, signature, _ := cutLast(valid)
	const forged = 10_000
	refused := inParallel(forged, 32, func(i int) bool {
		changed := []byte(signature)
		for at := range 1 + i%8 { // another letter, whatever it was
			at = (i + at*at) % (len(changed) - 2)
			changed[at] = letters[(strings.IndexByte(letters, changed[at])+1+i/len(changed))%len(letters)]
		}
		_, _, err := m.client.ACL().Login(&consul.ACLLoginParams{AuthMethod: "kubernetes", BearerToken: body + string(changed)}, nil)
		return err != nil && string(changed) != signature
	})
	if refused != forged {
		t.Errorf("%d of %d forged tokens are refused", refused, forged)
	}
	if after := f.requestsToConsul(t); after != before {
		t.Errorf("Consul has seen %d requests about ACLs", after-before)
	}
}
