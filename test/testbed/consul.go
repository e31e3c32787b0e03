package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"github.com/hashicorp/consul/api"
)

// Consul is a running Consul server with ACLs on, and with nothing allowed to
// those who have no token.
type Consul struct {
	Addr            string // http URL with a loopback address and no path
	ManagementToken string // gives all permissions
	LogPath         string
	PID             int

	dir     string
	binary  string
	env     []string
	lasting bool // has its state on disk
	guard   *guard
	server  *process // nil if none was started
}

// StartConsul starts a Consul server on free loopback ports without TLS, with
// its configuration and log in dir, which is created if it is missing. It is in
// development mode: alone in its data centre, and with its state in memory
// only. [FindConsul] gives the binary. ctx bounds the start only. If the server
// fails to start, the error ends with the last lines of its log.
func StartConsul(ctx context.Context, binary, dir string) (*Consul, error) {
	return startConsul(ctx, binary, dir, false)
}

// StartLastingConsul is StartConsul with the state on disk, as in production: what it
// has acknowledged is there after a kill and a [Consul.Restart].
func StartLastingConsul(ctx context.Context, binary, dir string) (*Consul, error) {
	return startConsul(ctx, binary, dir, true)
}

func startConsul(ctx context.Context, binary, dir string, lasting bool) (_ *Consul, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	c := &Consul{
		ManagementToken: uuid.NewString(),
		LogPath:         filepath.Join(dir, "consul.log"),
		dir:             dir,
		binary:          binary,
		env:             consulEnv(),
		lasting:         lasting,
	}
	for try := 1; ; try++ {
		err := c.start(ctx)
		if err == nil {
			return c, nil
		}
		err = errors.Join(err, c.Stop())
		if try == startTries || !portTaken(err) {
			return nil, err
		}
	}
}

// start makes one attempt, on ports that are free when it begins.
func (c *Consul) start(ctx context.Context) (err error) {
	// What an earlier attempt complained about must not be taken for this one's.
	if err := os.RemoveAll(c.LogPath); err != nil {
		return err
	}
	if err := c.writeConfig(); err != nil {
		return err
	}
	return c.run(ctx)
}

// run starts the server on the ports of its configuration and waits until it answers.
func (c *Consul) run(ctx context.Context) (err error) {
	if c.guard, err = newGuard(filepath.Join(c.dir, "run")); err != nil {
		return err
	}
	args := []string{"agent", "-dev", "-config-file", c.configPath()}
	if c.lasting {
		args[1] = "-server"
	}
	c.server, err = c.guard.start("consul", c.binary, c.LogPath, c.env, args...)
	if err != nil {
		return err
	}
	c.PID = c.server.pid
	client, err := c.Client()
	if err != nil {
		return err
	}
	// The token is known once there is a leader that has set up the ACLs.
	err = c.server.await(ctx, func(ctx context.Context) error {
		_, _, err := client.ACL().TokenReadSelf((&api.QueryOptions{}).WithContext(ctx))
		return err
	})
	if ctx.Err() != nil {
		return context.Cause(ctx) // no log tells more
	}
	if err != nil {
		return fmt.Errorf("cannot start consul: %w\n%s", err, logTail(c.LogPath))
	}
	return nil
}

func (c *Consul) configPath() string { return filepath.Join(c.dir, "consul.json") }

// writeConfig chooses free ports and writes the server's configuration.
func (c *Consul) writeConfig() error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	c.Addr = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	const off = -1
	settings := map[string]any{
		"acl": map[string]any{
			"enabled":        true,
			"default_policy": "deny",
			"tokens":         map[string]any{"initial_management": c.ManagementToken},
		},
		"bind_addr":            "127.0.0.1",
		"client_addr":          "127.0.0.1",
		"disable_update_check": true,
		"log_level":            "debug",
		"node_name":            "testbed",
		"ports": map[string]any{
			"http": ports[0], "server": ports[1], "serf_lan": ports[2],
			"dns": off, "grpc": off, "grpc_tls": off, "https": off, "serf_wan": off,
		},
		"ui_config": map[string]any{"enabled": false},
	}
	if c.lasting {
		settings["bootstrap_expect"] = 1
		settings["data_dir"] = filepath.Join(c.dir, "data")
		settings["performance"] = map[string]any{"raft_multiplier": 1} // a leader in a second
	}
	config, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(c.configPath(), config, 0o600)
}

// Client returns a client that uses the management token.
func (c *Consul) Client() (*api.Client, error) {
	return api.NewClient(&api.Config{
		Address: c.Addr,
		Token:   c.ManagementToken,
		// The library would take what is missing from CONSUL_* variables.
		Scheme:     "http",
		HttpClient: http.DefaultClient,
	})
}

// Restart starts a server again that was stopped or killed, at the same address. Only a
// lasting one has its state still.
func (c *Consul) Restart(ctx context.Context) error {
	if err := c.Stop(); err != nil {
		return err
	}
	if err := c.run(ctx); err != nil {
		return errors.Join(err, c.Stop())
	}
	return nil
}

// Stop ends the server, at last by force, and leaves its files as they are.
// Stopping what is not running does nothing.
func (c *Consul) Stop() error {
	if c.guard == nil {
		return nil
	}
	if c.server != nil {
		c.server.stop()
	}
	err := c.guard.close()
	c.guard, c.server = nil, nil
	return err
}

// consulEnv is the caller's environment without what would configure Consul, or
// make it believe that it runs in a pod.
func consulEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "CONSUL_") && !strings.HasPrefix(kv, "KUBERNETES_") {
			env = append(env, kv)
		}
	}
	return env
}

// freePorts returns loopback ports that nobody listens on, no two the same.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() // all at the end, or one might be given out twice
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
