package faults

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	dir        string
	logPath    string
	client     *vault.Client
	exited     chan struct{}
}

// How soon nodes of a raftCluster take a silent one for dead, as Vault's
// performance_multiplier: in a second or so, or five times as late, its default.
const (
	hasty   = 1
	patient = 5
)

// newRaftCluster starts nodes that are joined, unsealed and able to vote.
func newRaftCluster(t *testing.T, pace int, names ...string) *raftCluster {
	t.Helper()
	c := &raftCluster{}
	for _, name := range names {
		c.nodes = append(c.nodes, startNode(t, pace, name))
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
func startNode(t *testing.T, pace int, name string) *node {
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
	n := &node{name: name, addr: "http://" + ports[0], dir: dir, logPath: filepath.Join(dir, "vault.log")}
	config, err := json.Marshal(fields{
		"storage":          fields{"raft": fields{"path": filepath.Join(dir, "data"), "node_id": name, "performance_multiplier": strconv.Itoa(pace)}},
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
	n.start(t)
	t.Cleanup(func() {
		n.killGroup()
		if content, err := os.ReadFile(n.logPath); err == nil && t.Failed() {
			t.Logf("the end of %s's log:\n%s", n.name, content[max(0, len(content)-3000):])
		}
	})
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

func (n *node) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(n.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the server has its own copy
	cmd := exec.Command("/bin/sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(n.dir, "run", "vault.pid"),
		bed.Tools.Vault, "server", "-config", filepath.Join(n.dir, "vault.json"))
	// Nothing of ours that would configure Vault, or make a plugin think it is in a pod.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + n.dir}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	n.pid, n.exited = cmd.Process.Pid, exited
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(exited)
	}()
}

// killGroup ends the server and its plugins, which a server that was killed leaves
// behind.
func (n *node) killGroup() {
	_ = syscall.Kill(-n.pid, syscall.SIGKILL) // fails only if all have gone
	<-n.exited
}

// kill is SIGKILL, to the server alone.
func (n *node) kill(t *testing.T) {
	t.Helper()
	n.signal(t, syscall.SIGKILL)
	<-n.exited
}

// restart brings a node back that was killed, and returns once it follows a leader.
func (c *raftCluster) restart(t *testing.T, n *node) {
	t.Helper()
	n.killGroup()
	n.start(t)
	await(t, n.name+" to be unsealed", func() bool {
		_, err := n.client.Sys().Unseal(c.unsealKey)
		return err == nil
	})
	await(t, n.name+" to follow a leader", func() bool { return c.leaderSeenBy(n) != nil })
}

// awaitLeader returns the node that takes requests as the active one.
func (c *raftCluster) awaitLeader(t *testing.T) (leader *node) {
	t.Helper()
	await(t, "a node to be active", func() bool {
		for _, n := range c.nodes {
			if health, err := n.client.Sys().Health(); err == nil && health.Initialized && !health.Sealed && !health.Standby {
				leader = n
				return true
			}
		}
		return false
	})
	return leader
}

// signal sends one to the server alone.
func (n *node) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(n.pid, signal); err != nil {
		t.Fatal(err)
	}
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
