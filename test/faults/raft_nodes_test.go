package faults

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	vault "github.com/hashicorp/vault/api"
)

// raftCluster is a Vault of several nodes with integrated storage.
type raftCluster struct {
	nodes            []*node
	token, unsealKey string
}

// node is one server of a raftCluster.
type node struct {
	name, addr string
	pid        int
	logPath    string
	client     *vault.Client
	exited     chan struct{}
}

// newRaftCluster starts nodes that are joined, unsealed and able to vote.
func newRaftCluster(t *testing.T, names ...string) *raftCluster {
	t.Helper()
	c := &raftCluster{}
	for _, name := range names {
		c.nodes = append(c.nodes, startNode(t, name))
	}
	first := c.nodes[0]
	keys, err := first.client.Sys().Init(&vault.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		t.Fatal(err)
	}
	c.token, c.unsealKey = keys.RootToken, keys.KeysB64[0]
	for i, n := range c.nodes {
		n.client.SetToken(c.token)
		if i > 0 {
			if _, err := n.client.Sys().RaftJoin(&vault.RaftJoinRequest{LeaderAPIAddr: first.addr}); err != nil {
				t.Fatalf("%s cannot join: %v", n.name, err)
			}
		}
		if _, err := n.client.Sys().Unseal(c.unsealKey); err != nil {
			t.Fatalf("%s cannot be unsealed: %v", n.name, err)
		}
		await(t, n.name+" to follow a leader", func() bool { return c.leaderSeenBy(n) != nil })
	}
	await(t, "all nodes to vote", func() bool { return first.voters() == len(c.nodes) })
	return c
}

// startNode runs a server until the end of the test, at the latest.
func startNode(t *testing.T, name string) *node {
	t.Helper()
	// A directory in the bed's, whose guard ends what is on record in run/ if this
	// process cannot do so itself.
	dir := filepath.Join(bed.Dir, strings.ReplaceAll(t.Name(), "/", "-")+"-"+name)
	for _, sub := range []string{"run", "data"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ports := freePorts(t, 2)
	n := &node{name: name, addr: "http://" + ports[0], logPath: filepath.Join(dir, "vault.log"), exited: make(chan struct{})}
	config, err := json.Marshal(fields{
		"storage":          fields{"raft": fields{"path": filepath.Join(dir, "data"), "node_id": name, "performance_multiplier": "1"}},
		"listener":         fields{"tcp": fields{"address": ports[0], "cluster_address": ports[1], "tls_disable": true}},
		"api_addr":         n.addr,
		"cluster_addr":     "https://" + ports[1],
		"disable_mlock":    true,
		"plugin_directory": bed.Vault.PluginDir,
		"log_level":        "info",
	})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "vault.json"), config, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	n.start(t, dir)
	settings := vault.DefaultConfig()
	settings.Address, settings.MaxRetries = n.addr, 0
	if n.client, err = vault.NewClient(settings); err != nil {
		t.Fatal(err)
	}
	await(t, name+" to answer", func() bool {
		_, err := n.client.Sys().SealStatus()
		return err == nil
	})
	return n
}

func (n *node) start(t *testing.T, dir string) {
	t.Helper()
	log, err := os.Create(n.logPath)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the server has its own copy
	cmd := exec.Command("/bin/sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(dir, "run", "vault.pid"),
		bed.Tools.Vault, "server", "-config", filepath.Join(dir, "vault.json"))
	// Nothing of ours that would configure Vault, or make a plugin think it is in a pod.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.pid = cmd.Process.Pid
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(n.exited)
	}()
	t.Cleanup(func() {
		// The group, for a server that was killed leaves its plugins behind.
		_ = syscall.Kill(-n.pid, syscall.SIGKILL)
		<-n.exited
		if content, err := os.ReadFile(n.logPath); err == nil && t.Failed() {
			t.Logf("the end of %s's log:\n%s", n.name, content[max(0, len(content)-3000):])
		}
	})
}

// kill is SIGKILL, to the server alone.
func (n *node) kill(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(n.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-n.exited
}

// voters is how many nodes the leader counts that have a vote.
func (n *node) voters() (count int) {
	secret, err := n.client.Logical().Read("sys/storage/raft/configuration")
	if err != nil || secret == nil {
		return 0
	}
	config, _ := secret.Data["config"].(map[string]any)
	servers, _ := config["servers"].([]any)
	for _, server := range servers {
		if server, _ := server.(map[string]any); server["voter"] == true {
			count++
		}
	}
	return count
}

// leaderSeenBy returns the node that another one takes for the leader; nil if none.
func (c *raftCluster) leaderSeenBy(n *node) *node {
	seen, err := n.client.Sys().Leader()
	if err != nil {
		return nil
	}
	for _, candidate := range c.nodes {
		if candidate.addr == seen.LeaderAddress {
			return candidate
		}
	}
	return nil
}

// freePorts returns loopback addresses that nobody listens on.
func freePorts(t *testing.T, count int) (addresses []string) {
	t.Helper()
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close() // only now, so that all are different
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses
}
