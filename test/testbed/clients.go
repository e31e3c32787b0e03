package testbed

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
)

// consulTemplate is, as consul is, not among the [Tools].
var consulTemplate = tool{
	name:      "consul-template",
	module:    "consul-template",
	pkg:       "github.com/hashicorp/consul-template",
	versionOf: "github.com/hashicorp/consul-template",
	usually:   "1 to 2 minutes",
}

// Clients are the clients of Vault that are programs of others, besides those that the
// vault binary brings.
type Clients struct {
	ConsulTemplate string
	NodeModules    string // folder with node-vault and node-vault-client
	Node           string
	Python         string // one that can import hvac
}

// FindClients builds consul-template, unless CONSUL_TEMPLATE_BINARY names one, and
// installs the others: the npm packages of test/clients/testdata/node into the user's
// cache folder, and Debian's python3-hvac.
func FindClients(ctx context.Context, progress io.Writer) (c Clients, err error) {
	if c.ConsulTemplate, err = fromVariable("CONSUL_TEMPLATE_BINARY"); err == nil && c.ConsulTemplate == "" {
		c.ConsulTemplate, err = consulTemplate.build(ctx, progress)
	}
	if err != nil {
		return c, err
	}
	root, err := RepositoryRoot()
	if err != nil {
		return c, err
	}
	script := filepath.Join(root, "scripts", "install-clients.sh")
	cmd := exec.CommandContext(ctx, script)
	cmd.Stderr = progress
	out, err := cmd.Output()
	if err != nil {
		return c, fmt.Errorf("%s: %w", script, err)
	}
	lines := strings.Fields(string(out))
	if len(lines) != 3 {
		return c, fmt.Errorf("%s prints %q", script, out)
	}
	c.NodeModules, c.Node, c.Python = lines[0], lines[1], lines[2]
	return c, nil
}
