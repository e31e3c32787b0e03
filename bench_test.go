package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// The benchmarks of a login have their API server in a process of its own, so that
// what they report is the plugin's. Beside the time it is the processor time that
// counts: it says what a login costs where all processes share the processors.

// benchCluster is what the process of the API server tells of itself.
type benchCluster struct {
	URL, CAPEM, Reviewer string
	Tokens               []string
}

const benchServerVariable = "BENCH_API_SERVER"

// TestServeBenchmarks is that process, and no test.
func TestServeBenchmarks(t *testing.T) {
	if os.Getenv(benchServerVariable) == "" {
		t.Skip("only for the benchmarks of a login, which start it")
	}
	api := kubetest.Start(t)
	api.AddServiceAccount("apps", "web")
	c := benchCluster{URL: api.URL, CAPEM: api.CAPEM, Reviewer: api.Reviewer}
	for range 200 {
		c.Tokens = append(c.Tokens, api.Token("apps", "web", kubetest.Audience("vault")))
	}
	if err := json.NewEncoder(os.Stdout).Encode(c); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmarks end
}

// startBenchCluster starts the API server; it ends with the benchmark, however that
// ends, since its standard input does.
func startBenchCluster(b *testing.B) benchCluster {
	b.Helper()
	server := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestServeBenchmarks$")
	server.Env = append(os.Environ(), benchServerVariable+"=1")
	server.Stderr = os.Stderr
	stdin, err1 := server.StdinPipe()
	stdout, err2 := server.StdoutPipe()
	if err1 != nil || err2 != nil {
		b.Fatal(err1, err2)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = server.Wait()
	})
	var c benchCluster
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c)
	}
	if err != nil {
		b.Fatalf("the API server of the benchmarks: %v", err)
	}
	return c
}

// BenchmarkLogin is a login by one client after the other, and by many at a time,
// with a role and by binding rules; and beside it, the TokenReview that each of them
// makes by way of client-go. What a login costs the plugin's process beyond the first
// is its talk with Vault; see docs/performance.md.
func BenchmarkLogin(b *testing.B) {
	c := startBenchCluster(b)
	m := newMount(b)
	m.write("config", fields{
		"kubernetes_host": c.URL, "kubernetes_ca_cert": c.CAPEM,
		"token_reviewer_jwt": c.Reviewer, "disable_local_ca_jwt": true,
		"binding_rule_audiences": "vault",
	})
	m.write("role/demo", m.role(nil))
	m.write("binding-rule/all", fields{"selector": `serviceaccount.name == "web"`, "bind_type": "policy", "bind_name": "p1"})
	for _, role := range []string{"demo", ""} { // the first login reads storage
		if o := m.login(role, c.Tokens[0]); o.status != http.StatusOK {
			b.Fatalf("no login: %d, %v", o.status, o.err)
		}
	}
	connection, err := m.cluster.Get(b.Context(), m.storage)
	if err != nil {
		b.Fatal(err)
	}
	for _, row := range []struct {
		name string
		do   func(b *testing.B, jwt string)
	}{
		{"role", func(b *testing.B, jwt string) { benchLogin(b, m, "demo", jwt) }},
		{"rules", func(b *testing.B, jwt string) { benchLogin(b, m, "", jwt) }},
		{"review alone", func(b *testing.B, jwt string) {
			if status, err := connection.Client.ReviewToken(b.Context(), jwt, []string{"vault"}); err != nil || !status.Authenticated {
				b.Errorf("no review: %v, %v", status, err)
			}
		}},
	} {
		b.Run(row.name+"/one client", func(b *testing.B) {
			measureCPU(b, func() {
				for i := 0; b.Loop(); i++ {
					row.do(b, c.Tokens[i%len(c.Tokens)])
				}
			})
		})
		b.Run(row.name+"/many clients", func(b *testing.B) {
			b.SetParallelism(16)
			measureCPU(b, func() {
				b.RunParallel(func(pb *testing.PB) {
					for i := 0; pb.Next(); i++ {
						row.do(b, c.Tokens[i%len(c.Tokens)])
					}
				})
			})
		})
	}
}

// benchLogin makes both calls that the host makes for a login that gets a batch token.
// In the steady state it reads no storage but for a look about once a minute.
func benchLogin(b *testing.B, host logical.Backend, role, jwt string) {
	request := benchRequest(host, logical.UpdateOperation, role, jwt)
	if _, _, err := host.HandleExistenceCheck(b.Context(), request); err != nil {
		b.Error(err)
	}
	response, err := host.HandleRequest(b.Context(), request)
	if err != nil || response == nil || response.Auth == nil {
		b.Errorf("no login: %v, %v", response, err)
	}
}

// benchServiceLogin is benchLogin with the third call, which the host makes for a login
// that gets a service token.
func benchServiceLogin(b *testing.B, host logical.Backend, role, jwt string) {
	benchLogin(b, host, role, jwt)
	response, err := host.HandleRequest(b.Context(), benchRequest(host, logical.ResolveRoleOperation, role, jwt))
	if err != nil || response == nil || response.Data["role"] != role {
		b.Errorf("no role: %v, %v", response, err)
	}
}

func benchRequest(host logical.Backend, operation logical.Operation, role, jwt string) *logical.Request {
	request := &logical.Request{
		Operation:  operation,
		Path:       "login",
		Data:       fields{"jwt": jwt},
		MountPoint: "auth/test/",
		Connection: &logical.Connection{RemoteAddr: "192.0.2.1"},
	}
	if role != "" { // an empty one is answered with a warning
		request.Data["role"] = role
	}
	if m, ok := host.(*mount); ok {
		request.Storage = m.storage
	}
	return request
}

// measureCPU reports the processor time of this process for each operation.
func measureCPU(b *testing.B, run func()) {
	b.Helper()
	b.ReportAllocs()
	before := cpuTime(b)
	run()
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/1000, "cpu-us/op")
}

// cpuTime is the processor time of this process so far, in nanoseconds.
func cpuTime(b *testing.B) int64 {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(fmt.Errorf("processor time: %w", err))
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
