package consul

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"vault-plugin-auth-kubernetes/test/testbed"
)

var (
	consoleBlock = regexp.MustCompile("(?ms)^```console\n(.*?)^```")
	consoleLine  = regexp.MustCompile(`(?m)^\$ (.*)$`)
)

// The commands of docs/consul.md, in their order, as whoever sets it up types them.
func TestConsulDocs(t *testing.T) {
	f := servers(t)
	root, err := testbed.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "consul.md"))
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for _, block := range consoleBlock.FindAllStringSubmatch(string(page), -1) {
		for _, line := range consoleLine.FindAllStringSubmatch(block[1], -1) {
			commands = append(commands, line[1])
		}
	}
	if len(commands) < 14 {
		t.Fatalf("the page has the commands %q", commands)
	}
	dir, jwt := t.TempDir(), f.shopToken(t)
	if err := os.WriteFile(filepath.Join(dir, "jwt"), []byte(jwt), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "deploy"), filepath.Join(dir, "deploy")); err != nil {
		t.Fatal(err)
	}
	f.mountAsInTheDocs(t)
	// Who reads the path without a pod's token has a Vault token of the mount.
	script := strings.Join(commands, "\n")
	script = strings.ReplaceAll(script, "vault read auth/kubernetes/consul/token/kubernetes", `VAULT_TOKEN="$(vault write -field=token auth/kubernetes/login role=pods jwt=@jwt)" vault read auth/kubernetes/consul/token/kubernetes`)
	shell := exec.CommandContext(t.Context(), "bash", "-euxo", "pipefail", "-c", script)
	shell.Dir = dir
	shell.Env = append(f.bed.Env(), f.server.Env()...)
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f.podsGetTokens(t)
}

// shopToken makes the service account of the page, and a token for it.
func (f *fixture) shopToken(t *testing.T) string {
	t.Helper()
	kube, err := kubernetes.NewForConfig(f.cluster.Config)
	if err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	if _, err := kube.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := newAccount(t.Context(), kube, "shop/web", nil); err != nil {
		t.Fatal(err)
	}
	jwt, err := newToken(t.Context(), kube, "shop/web", []string{"vault"})
	if err != nil {
		t.Fatal(err)
	}
	return jwt
}

// mountAsInTheDocs enables the mount that the page has.
func (f *fixture) mountAsInTheDocs(t *testing.T) {
	t.Helper()
	if err := f.vault.Sys().EnableAuthWithOptionsWithContext(t.Context(), "kubernetes", &vault.EnableAuthOptions{Type: testbed.PluginName}); err != nil {
		t.Fatal(err)
	}
	m := pluginMount{client: f.vault, path: "auth/kubernetes", rules: new(int)}
	m.must(t, "config", map[string]any{
		"kubernetes_host": f.cluster.Host, "kubernetes_ca_cert": f.cluster.CAPEM, "token_reviewer_jwt": f.reviewerJWT, "disable_local_ca_jwt": true,
		"binding_rule_audiences": "vault",
	})
}
