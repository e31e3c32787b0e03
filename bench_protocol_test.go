package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"
)

// BenchmarkProtocol is BenchmarkLogin under a role with the plugin in a process of its
// own, driven over the plugin protocol as Vault does it. The processor time is that of
// the plugin's process.
func BenchmarkProtocol(b *testing.B) {
	c := startBenchCluster(b)
	p := startPlugin(b)
	p.write(b, logical.UpdateOperation, "config", fields{
		"kubernetes_host": c.URL, "kubernetes_ca_cert": c.CAPEM,
		"token_reviewer_jwt": c.Reviewer, "disable_local_ca_jwt": true,
	})
	p.write(b, logical.CreateOperation, "role/demo", (&mount{}).role(nil))
	for _, row := range []struct {
		token   string
		login   func(b *testing.B, host logical.Backend, role, jwt string)
		clients int // for each processor
	}{
		{"batch", benchLogin, 1},
		{"batch", benchLogin, 2},
		{"batch", benchLogin, 8},
		{"service", benchServiceLogin, 8},
	} {
		b.Run(fmt.Sprintf("%s token/%d clients a processor", row.token, row.clients), func(b *testing.B) {
			b.SetParallelism(row.clients)
			before := p.cpuMicroseconds(b)
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					row.login(b, p.backend, "demo", c.Tokens[i%len(c.Tokens)])
				}
			})
			b.ReportMetric((p.cpuMicroseconds(b)-before)/float64(b.N), "cpu-us/op")
		})
	}
}

// pluginProcess is the built plugin at work.
type pluginProcess struct {
	backend logical.Backend
	storage logical.Storage
	pid     string
}

func startPlugin(b *testing.B) *pluginProcess {
	b.Helper()
	binary := filepath.Join(b.TempDir(), "plugin")
	flags, err := os.ReadFile("scripts/link-flags")
	if err != nil {
		b.Fatal(err)
	}
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", strings.TrimSpace(string(flags)), "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, output)
	}
	command := exec.Command(binary)
	command.Env = append(os.Environ(), "VAULT_PLUGIN_AUTOMTLS_ENABLED=true") // as Vault from 1.12 on
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: plugin.HandshakeConfig,
		VersionedPlugins: map[int]goplugin.PluginSet{
			4: {plugin.BackendPluginName: &plugin.GRPCBackendPlugin{Logger: hclog.NewNullLogger()}},
		},
		Cmd: command, AutoMTLS: true, Logger: hclog.NewNullLogger(),
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
	})
	b.Cleanup(client.Kill)
	protocol, err := client.Client()
	if err != nil {
		b.Fatal(err)
	}
	raw, err := protocol.Dispense(plugin.BackendPluginName)
	if err != nil {
		b.Fatal(err)
	}
	p := &pluginProcess{backend: raw.(logical.Backend), storage: &logical.InmemStorage{}, pid: client.ID()}
	err = p.backend.Setup(b.Context(), &logical.BackendConfig{
		Logger: hclog.NewNullLogger(), System: logical.TestSystemView(), StorageView: p.storage, Config: map[string]string{},
	})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func (p *pluginProcess) write(b *testing.B, operation logical.Operation, path string, data fields) {
	b.Helper()
	request := &logical.Request{Operation: operation, Path: path, Data: data, Storage: p.storage, MountPoint: "auth/test/"}
	if response, err := p.backend.HandleRequest(b.Context(), request); err != nil || response.IsError() {
		b.Fatalf("writing %s: %v, %v", path, response, err)
	}
}

// cpuMicroseconds is the processor time of the process so far. The kernel counts it in
// hundredths of a second.
func (p *pluginProcess) cpuMicroseconds(b *testing.B) float64 {
	b.Helper()
	stat, err := os.ReadFile(filepath.Join("/proc", p.pid, "stat"))
	if err != nil {
		b.Skip("needs Linux:", err)
	}
	text := string(stat)
	numbers := strings.Fields(text[strings.LastIndex(text, ")")+1:])
	user, err1 := strconv.ParseFloat(numbers[11], 64)
	system, err2 := strconv.ParseFloat(numbers[12], 64)
	if err1 != nil || err2 != nil {
		b.Fatal(err1, err2)
	}
	return (user + system) * 1e4
}
