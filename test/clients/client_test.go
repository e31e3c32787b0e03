package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// client is one that people run.
type client struct {
	name string
	// once logs in one time, and tells what the client says of it; nil of those that keep
	// a token.
	once func(t testing.TB, p place) said
	// keep starts a client that keeps a token until the test ends; nil of the others.
	keep func(t testing.TB, p place) *process
	// idle is how long one that stays may want nothing of Vault, and so have no token.
	idle time.Duration
	// unwraps tells that the client can ask for a wrapped answer.
	unwraps bool
	// forgets tells that it depends on the moment whether the client gets over the end of a
	// token that cannot be renewed any more; docs/clients.md says why.
	forgets bool
}

// said is what a client says of a login: the accessor of the token, if it knows that, or the
// error as the client names its kind.
type said struct {
	Accessor string `json:"accessor"`
	Error    string `json:"error"`
	Text     string `json:"text"` // of the error
}

var clients = []client{
	{name: "Vault Agent", keep: agent("agent", agentConfig), unwraps: true},
	{name: "Vault Proxy", keep: agent("proxy", proxyConfig)},
	{name: "vault/api, auth/kubernetes", once: goLogin, unwraps: true},
	{name: "vault/api, LifetimeWatcher", keep: goWatcher},
	{name: "consul-template", keep: consulTemplate},
	{name: "SPIRE server", keep: spireServer, idle: 30 * time.Second},
	{name: "External Secrets", once: controller(func() string { return programs.ExternalSecrets })},
	{name: "cert-manager", once: controller(func() string { return programs.CertManager })},
	{name: "node-vault", once: script("node", "node-vault.js"), unwraps: true},
	{name: "node-vault-client", keep: scriptThatStays("node-vault-client.js"), forgets: true},
	{name: "hvac", once: script("python", "hvac_login.py"), unwraps: true},
	{name: "curl", once: curl, unwraps: true},
}

// process is a client that runs.
type process struct {
	mu   sync.Mutex
	out  bytes.Buffer
	done chan struct{} // closed when it has ended
}

func (p *process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(text)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// ended tells whether the client gave up by itself.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// run starts a program that ends with the test at the latest.
func run(t testing.TB, env []string, program string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(append(os.Environ(), "HOME="+t.TempDir(), "VAULT_TOKEN="), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &process{done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // whatever ended it, the output says it
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-p.done
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(program), tail(p.output()))
		}
	})
	return p
}

func tail(text string) string { return text[max(0, len(text)-4000):] }

// scriptPath is the file of a script in testdata.
func scriptPath(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func interpreter(name string) string {
	if name == "python" {
		return programs.Python
	}
	return programs.Node
}

// script logs in with a script of testdata, which prints what said is made of.
func script(language, name string) func(testing.TB, place) said {
	return func(t testing.TB, p place) said {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), interpreter(language), scriptPath(t, name))
		cmd.Env = append(append(os.Environ(), "NODE_PATH="+programs.NodeModules, "VAULT_TOKEN="), p.env()...)
		return printed(t, cmd)
	}
}

// printed runs a program that logs in once, and prints as its last line what said is made of.
func printed(t testing.TB, cmd *exec.Cmd) (s said) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	at := bytes.LastIndexByte(bytes.TrimSpace(out), '\n') + 1 // warnings come before
	if err := json.Unmarshal(out[at:], &s); err != nil {
		t.Fatalf("%s prints %s", cmd, out)
	}
	return s
}

func scriptThatStays(name string) func(testing.TB, place) *process {
	return func(t testing.TB, p place) *process {
		t.Helper()
		return run(t, append(p.env(), "NODE_PATH="+programs.NodeModules), programs.Node, scriptPath(t, name))
	}
}

// curl is what docs/clients.md gives for shells.
func curl(t testing.TB, p place) said {
	t.Helper()
	jwt, err := os.ReadFile(p.file)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(fields{"role": p.role, "jwt": string(jwt)})
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-sS", "-w", "\n%{http_code}", "--data-binary", "@-"}
	if p.wrapped {
		args = append(args, "-H", "X-Vault-Wrap-TTL: 60")
	}
	cmd := exec.CommandContext(t.Context(), "curl", append(args, p.addr+"/v1/auth/"+p.mount+"/login")...)
	cmd.Stdin = bytes.NewReader(body)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	text, status, _ := strings.Cut(string(out), "\n{")
	if status != "" {
		t.Fatalf("curl prints %s", out)
	}
	at := strings.LastIndexByte(text, '\n')
	var answer struct {
		Auth     struct{ Accessor string }
		WrapInfo struct {
			WrappedAccessor string `json:"wrapped_accessor"`
		} `json:"wrap_info"`
		Errors []string
	}
	if err := json.Unmarshal([]byte(text[:at]), &answer); err != nil {
		t.Fatalf("curl prints %s", out)
	}
	s := said{Accessor: answer.Auth.Accessor + answer.WrapInfo.WrappedAccessor, Text: fmt.Sprint(answer.Errors)}
	if code := text[at+1:]; code != "200" {
		s.Error = code
	}
	return s
}
