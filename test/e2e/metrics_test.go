package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// TestMetricsOverHTTP is what Prometheus does: plain text of the right type has to come
// back through Vault and the plugin protocol, for either way to send a token.
func TestMetricsOverHTTP(t *testing.T) {
	t.Parallel()
	m := newMount(t, testbed.PluginName, bed.PluginVersion)
	for header, value := range map[string]string{"Authorization": "Bearer " + bed.Vault.RootToken, "X-Vault-Token": bed.Vault.RootToken} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, bed.Vault.Addr+"/v1/auth/"+m.path+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set(header, value)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || got != "text/plain; version=0.0.4; charset=utf-8" {
			t.Errorf("%s: %d, content type %q: %.200s", header, response.StatusCode, got, body)
		}
		if !strings.HasPrefix(string(body), "# HELP ") || !strings.HasSuffix(string(body), "\n") || !strings.Contains(string(body), "\nvault_kubernetes_auth_api_requests_waiting 0\n") {
			t.Errorf("%s: %.500s", header, body)
		}
	}
	if got := m.server.sendAs(t, "", http.MethodGet, "auth/"+m.path+"/metrics", nil); got.Status != http.StatusForbidden {
		t.Errorf("without a token: %d", got.Status)
	}
}
