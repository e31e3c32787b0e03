package testbed

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// StartConsul starts a Consul beside the bed's servers, which the caller stops before the
// bed, and puts its command where [Bed.Env] has vault and kubectl.
func (b *Bed) StartConsul(ctx context.Context, binary string) (*Consul, error) {
	if err := os.Symlink(binary, filepath.Join(b.binDir, "consul")); err != nil {
		return nil, err
	}
	c, err := StartConsul(ctx, binary, filepath.Join(b.Dir, "consul"))
	if err != nil {
		return nil, errors.Join(err, os.Remove(filepath.Join(b.binDir, "consul")))
	}
	return c, nil
}

// Env returns what the consul command needs to administer the server, as KEY=value.
func (c *Consul) Env() []string {
	return []string{"CONSUL_HTTP_ADDR=" + c.Addr, "CONSUL_HTTP_TOKEN=" + c.ManagementToken}
}
