package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

// TestRefusedReadsShowTheirReason: of a 404 to a read the vault command shows no more than
// "No value found", so a read that is refused for a reason is another status, and a 404 has
// no reason that would be lost.
func TestRefusedReadsShowTheirReason(t *testing.T) {
	read := map[string]map[string]string{
		"empty": {
			"consul/token/kubernetes": "the mount has no Consul; write consul/config",
			"consul/config":           "", "config": "", "role/none": "", "binding-rule/none": "",
		},
		"configured": {
			"consul/token/kubernetes": "the mount has no Consul; write consul/config",
			"access/policy/none":      "", "access/service-account/No/web": "the service account", "check": "", "metrics": "",
		},
	}
	mounts := map[string]*mount{"empty": newMount(t), "configured": newDemo(t, nil, nil)}
	for name, m := range mounts {
		for path, reason := range read[name] {
			o := m.do(logical.ReadOperation, path, nil)
			switch {
			case reason != "" && (o.status != http.StatusBadRequest || !strings.HasPrefix(o.message, reason)):
				t.Errorf("%s, %s: %d %q, want a 400 with %q", name, path, o.status, o.message, reason)
			case reason == "" && o.status == http.StatusNotFound && (o.message != "" || len(o.warnings) > 0):
				t.Errorf("%s, %s: a 404 with a reason that nobody sees: %q %q", name, path, o.message, o.warnings)
			case reason == "" && o.status != http.StatusOK && o.status != http.StatusNotFound:
				t.Errorf("%s, %s: %d %q", name, path, o.status, o.message)
			}
		}
	}
}
