package testbed

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// limit has the server started by a shell that bounds what it may have open.
func (v *Vault) limit(descriptors int) error {
	limited := filepath.Join(v.dir, "vault-limited")
	script := fmt.Sprintf("#!/bin/sh\nulimit -n %d && exec '%s' \"$@\"\n", descriptors, v.binary)
	v.binary = limited
	return os.WriteFile(limited, []byte(script), 0o755)
}

// vaultEnv is the caller's environment without what would configure Vault, or
// make a plugin believe that it runs in a pod.
func vaultEnv(extra []string) []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "VAULT_") && !strings.HasPrefix(kv, "KUBERNETES_") {
			env = append(env, kv)
		}
	}
	return append(env, extra...)
}
