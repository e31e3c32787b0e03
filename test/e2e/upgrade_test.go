package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// oldVersion is below the bed's, so that mounts that name no version do not get it.
const oldVersion = "v0.0.9"

// TestUpgradeInPlace takes a mount from one version to another and back, as
// docs/deploy.md tells it. Both binaries are in the plugin directory.
func TestUpgradeInPlace(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	sums := map[string]string{oldVersion: server.installOldVersion(t), bed.PluginVersion: bed.PluginSHA256}
	c := mainCluster(t)
	a := c.newAccount(t, "", "app", nil)
	m := server.newMount(t, testbed.PluginName, oldVersion)
	m.must(t, http.MethodPost, "config", c.config())
	m.must(t, http.MethodPost, "role/app", bound(a, fields{"token_ttl": 600}))
	jwt := c.newToken(t, a, audience)
	first := m.issue(t, "app", jwt)
	for _, version := range []string{bed.PluginVersion, oldVersion} {
		server.must(t, http.MethodPost, "sys/auth/"+m.path+"/tune", fields{"plugin_version": version})
		server.must(t, http.MethodPut, "sys/plugins/reload/backend", fields{"mounts": "auth/" + m.path + "/"})
		running := server.must(t, http.MethodGet, "sys/mounts/auth/"+m.path, nil).data()
		if running["running_plugin_version"] != version || running["running_sha256"] != sums[version] {
			t.Errorf("after the change to %s the mount runs %v", version, running)
		}
		m.issue(t, "app", jwt)
		if renewed := server.renew(t, first, 0); renewed.Status != http.StatusOK {
			t.Errorf("after the change to %s a token from before is not renewed: %v", version, renewed)
		}
	}
}

// installOldVersion builds the plugin under an old version, registers it, and returns
// its sum.
func (s server) installOldVersion(t *testing.T) string {
	t.Helper()
	built, err := testbed.BuildPlugin(t.Context(), t.TempDir(), testbed.PluginOptions{Version: oldVersion})
	if err != nil {
		t.Fatal(err)
	}
	sum, err := testbed.SHA256(built)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	command := testbed.PluginName + "_" + oldVersion
	if err := os.WriteFile(filepath.Join(s.PluginDir, command), content, 0o755); err != nil {
		t.Fatal(err)
	}
	s.must(t, http.MethodPost, "sys/plugins/catalog/auth/"+testbed.PluginName, fields{
		"command": command, "sha256": sum, "version": oldVersion,
	})
	return sum
}
