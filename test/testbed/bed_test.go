package testbed

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// TestBed logs in at Vault's own kubernetes method, since the bed has to be
// sound before it says anything about the plugin.
func TestBed(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real servers")
	}
	bed, err := Start(t.Context(), Options{Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bed.Stop() }) // for a test that fails half-way
	f := newFixture(t, bed)

	t.Run("logins", f.testLogins)
	t.Run("claims", f.testClaims)
	t.Run("plugin", f.testPlugin)
	t.Run("environment", f.testEnv)
	t.Run("second cluster", f.testSecondCluster)
	t.Run("restart", f.testRestart)
	t.Run("stop", f.testStop)
}

// fixture is a bed with a service account demo/app, a reviewer, and a mount of
// the built-in method with a role for the account.
type fixture struct {
	bed  *Bed
	kube kubernetes.Interface
	root *api.Client
}

func newFixture(t *testing.T, bed *Bed) *fixture {
	t.Helper()
	f := &fixture{bed: bed, kube: kubernetes.NewForConfigOrDie(bed.Cluster.Config)}
	var err error
	if f.root, err = bed.Vault.Client(); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for _, ns := range []string{"demo", "vault"} {
		create(t, f.kube.CoreV1().Namespaces().Create, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
	}
	create(t, f.kube.CoreV1().ServiceAccounts("demo").Create, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}})
	create(t, f.kube.CoreV1().ServiceAccounts("vault").Create, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "reviewer"}})
	create(t, f.kube.RbacV1().ClusterRoleBindings().Create, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "vault-reviewer"},
		RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: "system:auth-delegator"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "vault", Name: "reviewer"}},
	})
	if err := f.root.Sys().EnableAuthWithOptionsWithContext(ctx, "kubernetes", &api.EnableAuthOptions{Type: "kubernetes"}); err != nil {
		t.Fatal(err)
	}
	f.write(t, "auth/kubernetes/config", map[string]any{
		"kubernetes_host":      bed.Cluster.Host,
		"kubernetes_ca_cert":   bed.Cluster.CAPEM,
		"token_reviewer_jwt":   f.token(t, "vault", "reviewer", authv1.TokenRequestSpec{}),
		"disable_local_ca_jwt": true,
	})
	f.write(t, "auth/kubernetes/role/app", map[string]any{
		"bound_service_account_names":      "app",
		"bound_service_account_namespaces": "demo",
	})
	return f
}

// create creates an object through one of client-go's typed methods.
func create[T any](t *testing.T, do func(context.Context, T, metav1.CreateOptions) (T, error), object T) T {
	t.Helper()
	created, err := do(t.Context(), object, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func (f *fixture) write(t *testing.T, path string, data map[string]any) {
	t.Helper()
	if _, err := f.root.Logical().WriteWithContext(t.Context(), path, data); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) token(t *testing.T, namespace, account string, spec authv1.TokenRequestSpec) string {
	t.Helper()
	req, err := f.kube.CoreV1().ServiceAccounts(namespace).CreateToken(
		t.Context(), account, &authv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return req.Status.Token
}

// podToken makes a pod on a node and a token bound to it.
func (f *fixture) podToken(t *testing.T, name string) string {
	t.Helper()
	create(t, f.kube.CoreV1().Nodes().Create, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-of-" + name}})
	pod := create(t, f.kube.CoreV1().Pods("demo").Create, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			NodeName:           "node-of-" + name,
			ServiceAccountName: "app",
			Containers:         []corev1.Container{{Name: "main", Image: "none"}},
		},
	})
	return f.token(t, "demo", "app", authv1.TokenRequestSpec{
		BoundObjectRef: &authv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: name, UID: pod.UID},
	})
}

func (f *fixture) login(ctx context.Context, jwt string) (*api.Secret, error) {
	return f.root.Logical().WriteWithContext(ctx, "auth/kubernetes/login", map[string]any{"role": "app", "jwt": jwt})
}

func (f *fixture) testLogins(t *testing.T) {
	legacy, err := LegacyToken(t.Context(), f.bed.Cluster, "demo", "app")
	if err != nil {
		t.Fatal(err)
	}
	for name, jwt := range map[string]string{
		"projected": f.token(t, "demo", "app", authv1.TokenRequestSpec{}),
		"pod":       f.podToken(t, "login"),
		"legacy":    legacy,
	} {
		secret, err := f.login(t.Context(), jwt)
		if err != nil {
			t.Errorf("%s token: %v", name, err)
		} else if got := secret.Auth.Metadata["service_account_name"]; got != "app" {
			t.Errorf("%s token: logged in as %q", name, got)
		}
	}

	key, _, err := NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	account, err := f.kube.CoreV1().ServiceAccounts("demo").Get(t.Context(), "app", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	claims := legacyClaims(account, "app-token")
	forged, err := SignToken(key, claims)
	if err != nil {
		t.Fatal(err)
	}
	var answer *api.ResponseError
	if _, err := f.login(t.Context(), forged); !errors.As(err, &answer) || answer.StatusCode != http.StatusForbidden {
		t.Errorf("a forged token: %v", err)
	}
}

// testClaims has the API server review tokens, and looks at what it makes of them.
func (f *fixture) testClaims(t *testing.T) {
	legacy, err := LegacyToken(t.Context(), f.bed.Cluster, "demo", "app")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		jwt   string
		extra map[string]string
	}{
		"legacy": {jwt: legacy},
		"pod": {jwt: f.podToken(t, "claims"), extra: map[string]string{
			"authentication.kubernetes.io/pod-name":  "claims",
			"authentication.kubernetes.io/node-name": "node-of-claims",
		}},
	} {
		review, err := f.kube.AuthenticationV1().TokenReviews().Create(t.Context(),
			&authv1.TokenReview{Spec: authv1.TokenReviewSpec{Token: tt.jwt}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !review.Status.Authenticated || review.Status.User.Username != "system:serviceaccount:demo:app" {
			t.Errorf("%s token: reviewed as %+v", name, review.Status)
		}
		for key, want := range tt.extra {
			if got := review.Status.User.Extra[key]; !slices.Equal(got, authv1.ExtraValue{want}) {
				t.Errorf("%s token: %s is %q, want %q", name, key, got, want)
			}
		}
	}
}

// testPlugin has Vault check the binary, its checksum and its version.
func (f *fixture) testPlugin(t *testing.T) {
	if err := f.bed.RegisterPlugin(t.Context(), f.root); err != nil {
		t.Fatal(err)
	}
	err := f.root.Sys().EnableAuthWithOptionsWithContext(t.Context(), "plugin", &api.EnableAuthOptions{Type: PluginName})
	if err != nil {
		t.Error(err)
	}
}

func (f *fixture) testEnv(t *testing.T) {
	script := `set -e
		vault read -field=policies auth/token/lookup-self; echo
		kubectl auth whoami -o jsonpath='{.status.userInfo.username}'; echo
		command -v vault
		command -v kubectl
		test -f "$KUBERNETES_CA_FILE"
		echo "$KUBERNETES_HOST $PLUGIN_NAME $PLUGIN_SHA256 $PLUGIN_VERSION"`
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
	cmd.Env = append(os.Environ(), f.bed.Env()...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sum, err := SHA256(filepath.Join(f.bed.Vault.PluginDir, PluginName))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"[root]",
		"admin",
		filepath.Join(f.bed.Dir, "bin", "vault"),
		filepath.Join(f.bed.Dir, "bin", "kubectl"),
		strings.Join([]string{f.bed.Cluster.Host, PluginName, sum, f.bed.PluginVersion}, " "),
	}
	if got := strings.Split(strings.TrimSpace(string(out)), "\n"); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func (f *fixture) testSecondCluster(t *testing.T) {
	east, err := StartCluster(t.Context(), f.bed.Tools, t.TempDir(), ClusterOptions{Issuer: "https://east.example"})
	if err != nil {
		t.Fatal(err)
	}
	if east.Host == f.bed.Cluster.Host || east.CAPEM == f.bed.Cluster.CAPEM || east.SigningKeyPEM == f.bed.Cluster.SigningKeyPEM {
		t.Error("the clusters share an address, an authority or a key")
	}
	config, err := kubernetes.NewForConfigOrDie(east.Config).CoreV1().RESTClient().Get().
		AbsPath("/.well-known/openid-configuration").DoRaw(t.Context())
	if err != nil || !strings.Contains(string(config), `"issuer":"https://east.example"`) {
		t.Errorf("got %s, %v", config, err)
	}
	pids, err := east.PIDs()
	if err != nil || len(pids) != 2 {
		t.Errorf("got %v, %v", pids, err)
	}
	for range 2 { // the second is to do nothing
		if err := east.Stop(); err != nil {
			t.Error(err)
		}
	}
	for _, pid := range pids {
		awaitDeath(t, pid)
	}
}

func (f *fixture) testRestart(t *testing.T) {
	pid := f.bed.Vault.PID
	if err := f.bed.Vault.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f.bed.Vault.PID == pid {
		t.Error("it is the same process")
	}
	awaitDeath(t, pid)
	if _, err := f.login(t.Context(), f.token(t, "demo", "app", authv1.TokenRequestSpec{})); err != nil {
		t.Error(err)
	}
}

func (f *fixture) testStop(t *testing.T) {
	pids, err := f.bed.Cluster.PIDs()
	if err != nil {
		t.Fatal(err)
	}
	pids["vault"] = f.bed.Vault.PID
	plugins := childrenOf(t, f.bed.Vault.PID)
	if len(plugins) == 0 {
		t.Error("vault runs no plugin")
	}
	for name, pid := range pids {
		if !alive(pid) {
			t.Errorf("%s has died before", name)
		}
	}
	for range 2 {
		if err := f.bed.Stop(); err != nil {
			t.Error(err)
		}
	}
	for _, pid := range slices.Concat(slices.Collect(maps.Values(pids)), plugins) {
		awaitDeath(t, pid)
	}
	if _, err := os.Stat(f.bed.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the state is still there: %v", err)
	}
}

func childrenOf(t *testing.T, parent int) (pids []int) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ps", "-eo", "pid=,ppid=").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 2 && f[1] == strconv.Itoa(parent) {
			pid, err := strconv.Atoi(f[0])
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// A server that cannot start must be named with what it says, and must take
// the others with it.
func TestFailedStart(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real servers")
	}
	tools, err := FindTools(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("kube-apiserver", func(t *testing.T) {
		dir := t.TempDir()
		_, err := StartCluster(t.Context(), tools, dir, ClusterOptions{
			APIServerFlags: map[string]string{"no-such-flag": "1"},
		})
		if err == nil || !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
			t.Errorf("got %v", err)
		}
		awaitRecordedDeaths(t, filepath.Join(dir, "run"))
	})
	t.Run("vault", func(t *testing.T) {
		dir := t.TempDir()
		_, err := StartVault(t.Context(), tools, dir, VaultOptions{LogLevel: "no-such-level"})
		if err == nil || !strings.Contains(err.Error(), "unknown log level: no-such-level") {
			t.Errorf("got %v", err)
		}
		awaitRecordedDeaths(t, filepath.Join(dir, "run"))
	})
	t.Run("given up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		dir := t.TempDir()
		go func() {
			for {
				if pids, err := (&guard{dir: filepath.Join(dir, "run")}).pids(); err == nil && pids["etcd"] > 0 {
					cancel()
					return
				}
			}
		}()
		if _, err := StartCluster(ctx, tools, dir, ClusterOptions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		awaitRecordedDeaths(t, filepath.Join(dir, "run"))
	})
}

func awaitRecordedDeaths(t *testing.T, dir string) {
	t.Helper()
	pids, err := (&guard{dir: dir}).pids()
	if err != nil || len(pids) == 0 {
		t.Fatalf("nothing was started: %v, %v", pids, err)
	}
	for _, pid := range pids {
		awaitDeath(t, pid)
	}
}
