package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// TestMountsShareAProcess counts processes of the plugin: another mount must not
// cost another process. It runs beside no other test, since some restart plugins.
func TestMountsShareAProcess(t *testing.T) {
	newMount(t, testbed.PluginName, bed.PluginVersion)
	before := pluginProcesses(t)
	for range 5 {
		newMount(t, testbed.PluginName, bed.PluginVersion)
	}
	if after := pluginProcesses(t); before == 0 || after != before {
		t.Errorf("%d processes with one mount, %d with six", before, after)
	}
}

func pluginProcesses(t *testing.T) (count int) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	if len(links) == 0 {
		t.Skip("this system has no /proc to count processes in")
	}
	for _, link := range links {
		if program, err := os.Readlink(link); err == nil && program == bed.PluginBinary {
			count++
		}
	}
	return count
}
