package consul

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// The demo shows the tokens of a Consul that is there, and without one says how to get it.
func TestDemo(t *testing.T) {
	f := servers(t)
	root, err := testbed.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		env       []string
		has, none []string
	}{
		"with a Consul": {
			f.server.Env(),
			[]string{
				`token created via login: {"pod":"app-1"}`, "Service Identities:\n   app ", "Unexpected response code: 403", "ACL not found",
				"lease_id ", "service_identities    [app]", "now removed",
			},
			[]string{"CONSUL=1", f.server.ManagementToken},
		},
		"without": {nil, []string{"make demo CONSUL=1", "now removed"}, []string{"consul login"}},
	} {
		t.Run(name, func(t *testing.T) {
			demo := exec.CommandContext(t.Context(), filepath.Join(root, "scripts", "demo.sh"))
			demo.Env = append(f.bed.Env(), row.env...)
			out, err := demo.CombinedOutput()
			if err != nil {
				t.Errorf("%v", err)
			}
			for _, want := range row.has {
				if !strings.Contains(string(out), want) {
					t.Errorf("it does not show %q", want)
				}
			}
			for _, other := range row.none {
				if strings.Contains(string(out), other) {
					t.Errorf("it shows %q", other)
				}
			}
			if t.Failed() {
				t.Logf("%s", out)
			}
		})
	}
}
