package consul

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// A second server beside the first, which must not outlive its Stop.
func TestServerStops(t *testing.T) {
	servers(t)
	binary, err := testbed.FindConsul(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	second, err := testbed.StartConsul(t.Context(), binary, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Stop() }) // for a test that fails half-way
	client, err := second.Client()
	if err != nil {
		t.Fatal(err)
	}
	methods, _, err := client.ACL().AuthMethodList(nil)
	if err != nil || len(methods) != 0 {
		t.Errorf("a new server has %d auth methods (%v)", len(methods), err)
	}
	for range 2 { // the second is to do nothing
		if err := second.Stop(); err != nil {
			t.Error(err)
		}
	}
	if err := syscall.Kill(second.PID, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there (%v)", second.PID, err)
	}
	if log, err := os.Stat(second.LogPath); err != nil || log.Size() == 0 {
		t.Errorf("it has left no log: %v", err)
	}
}
