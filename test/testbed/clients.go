package testbed

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
)

// The clients that are built are, as consul is, not among the [Tools]. Of those that are
// controllers of a cluster, tools/ has a main package that runs the part with Vault once.
var (
	consulTemplate = tool{
		name:      "consul-template",
		module:    "consul-template",
		pkg:       "github.com/hashicorp/consul-template",
		versionOf: "github.com/hashicorp/consul-template",
		usually:   "1 to 2 minutes",
	}
	externalSecrets = tool{
		name:      "external-secrets",
		module:    "external-secrets",
		pkg:       "vault-plugin-auth-kubernetes/tools/external-secrets",
		versionOf: "github.com/external-secrets/external-secrets",
		usually:   "2 to 4 minutes",
	}
	certManager = tool{
		name:      "cert-manager",
		module:    "cert-manager",
		pkg:       "vault-plugin-auth-kubernetes/tools/cert-manager",
		versionOf: "github.com/cert-manager/cert-manager",
		usually:   "2 to 4 minutes",
	}
	// spireServer stores what it has with SQLite, which is C.
	spireServer = tool{
		name:      "spire-server",
		module:    "spire-server",
		pkg:       "github.com/spiffe/spire/cmd/spire-server",
		versionOf: "github.com/spiffe/spire",
		cgo:       true,
		usually:   "3 to 6 minutes",
	}
)

// Clients are the clients of Vault that are programs of others, besides those that the
// vault binary brings.
type Clients struct {
	ConsulTemplate  string
	ExternalSecrets string // its Vault provider, see tools/external-secrets
	CertManager     string // its Vault issuer, see tools/cert-manager
	SpireServer     string
	NodeModules     string // folder with node-vault and node-vault-client
	Node            string
	Python          string // one that can import hvac
}

// FindClients builds consul-template, unless CONSUL_TEMPLATE_BINARY names one, and the other
// clients that are written in Go, and installs the rest: the npm packages of
// test/clients/testdata/node into the user's cache folder, and Debian's python3-hvac.
func FindClients(ctx context.Context, progress io.Writer) (c Clients, err error) {
	if c.ConsulTemplate, err = fromVariable("CONSUL_TEMPLATE_BINARY"); err != nil {
		return c, err
	}
	for _, b := range []struct {
		dst  *string
		tool tool
	}{
		{&c.ConsulTemplate, consulTemplate},
		{&c.ExternalSecrets, externalSecrets},
		{&c.CertManager, certManager},
		{&c.SpireServer, spireServer},
	} {
		if *b.dst != "" {
			continue
		}
		if *b.dst, err = b.tool.build(ctx, progress); err != nil {
			return c, err
		}
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
