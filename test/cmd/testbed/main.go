// Command testbed brings up a real Kubernetes API server and a real Vault with
// this repository's plugin, and runs a command against them.
//
//	testbed tools                 find or build all programs, print their paths
//	testbed consul                the same for the Consul of make test-consul
//	testbed clients               the same for the clients of Vault in make test-clients
//	testbed run [--] CMD [ARG…]   run CMD with the bed's environment added
//	testbed dev                   run scripts/dev.sh
//	testbed web                   serve the web page for the Vault at VAULT_ADDR
//
// With -web, run and dev serve the page for the bed's Vault, and the command finds
// its address in WEB_URL. With -consul=build they start a Consul too, with -consul=built
// if there is one, and the command finds it in CONSUL_HTTP_ADDR and CONSUL_HTTP_TOKEN.
//
// Progress goes to standard error. run stops everything when the command ends,
// or when it is interrupted itself, and exits with the command's status.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"vault-plugin-auth-kubernetes/test/testbed"
	"vault-plugin-auth-kubernetes/test/testbed/webpage"
)

const usage = `usage: testbed tools
       testbed consul
       testbed clients
       testbed run [-keep] [-log-level LEVEL] [-web] [-consul built|build] [--] CMD [ARG...]
       testbed dev [-keep] [-log-level LEVEL] [-web] [-consul built|build]
       testbed web [-listen ADDRESS]
`

func main() {
	// Signals are noted from here on, so that none can end this process with
	// servers running.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	status, err := dispatch(signals, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "testbed:", err)
		if errors.Is(err, errUsage) {
			fmt.Fprint(os.Stderr, usage)
		}
		status = max(status, 1)
	}
	os.Exit(status)
}

// errUsage makes main print the usage.
var errUsage = errors.New("unknown or incomplete command")

func dispatch(signals <-chan os.Signal, args []string) (status int, err error) {
	if len(args) == 0 {
		return 2, errUsage
	}
	switch args[0] {
	case "tools":
		return printTools(signals)
	case "consul":
		return printConsul(signals)
	case "clients":
		return printClients(signals)
	case "run", "dev":
		return runCommand(signals, args[0], args[1:])
	case "web":
		return serveWeb(signals, args[1:])
	default:
		return 2, errUsage
	}
}

func printTools(signals <-chan os.Signal) (int, error) {
	ctx, stop := untilSignal(signals)
	defer stop()
	tools, err := testbed.FindTools(ctx, os.Stderr)
	if err != nil {
		return 1, err
	}
	for _, path := range []string{tools.Etcd, tools.KubeAPIServer, tools.Kubectl, tools.Vault} {
		fmt.Println(path)
	}
	return 0, nil
}

func printConsul(signals <-chan os.Signal) (int, error) {
	ctx, stop := untilSignal(signals)
	defer stop()
	path, err := testbed.FindConsul(ctx, os.Stderr)
	if err != nil {
		return 1, err
	}
	fmt.Println(path)
	return 0, nil
}

func printClients(signals <-chan os.Signal) (int, error) {
	ctx, stop := untilSignal(signals)
	defer stop()
	clients, err := testbed.FindClients(ctx, os.Stderr)
	if err != nil {
		return 1, err
	}
	for _, path := range []string{
		clients.ConsulTemplate, clients.ExternalSecrets, clients.CertManager, clients.SpireServer,
		clients.NodeModules, clients.Node, clients.Python,
	} {
		fmt.Println(path)
	}
	return 0, nil
}

func runCommand(signals <-chan os.Signal, name string, args []string) (status int, err error) {
	opts := testbed.Options{Progress: os.Stderr}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.BoolVar(&opts.KeepState, "keep", false, "leave the state directory with the logs behind")
	flags.StringVar(&opts.Vault.LogLevel, "log-level", "debug", "Vault's log level")
	web := flags.Bool("web", false, "serve the web page")
	consul := flags.String("consul", "", "start a Consul too: one that is built already, or build it")
	if err := flags.Parse(args); err != nil {
		return 2, nil // the flag package has said what is wrong
	}
	command := flags.Args()
	if name == "dev" {
		root, err := testbed.RepositoryRoot()
		if err != nil {
			return 1, err
		}
		command = append([]string{filepath.Join(root, "scripts", "dev.sh")}, command...)
	}
	if len(command) == 0 {
		return 2, errUsage
	}
	consulBinary, err := findConsul(signals, *consul) // before servers wait for its build
	if err != nil {
		return 1, err
	}
	bed, err := start(signals, opts)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, bed.Stop()) }()
	ofConsul, stopConsul, err := startConsul(signals, bed, consulBinary)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, stopConsul()) }()
	env := append(bed.Env(), ofConsul...)
	if *web {
		page, pageErr := startPage(webpage.Options{VaultAddr: bed.Vault.Addr})
		if pageErr != nil {
			return 1, pageErr
		}
		defer func() { err = errors.Join(err, page.Close()) }()
		env = append(env, "WEB_URL="+page.URL)
	}
	return runIn(env, signals, command)
}

// start gives up when a signal arrives.
func start(signals <-chan os.Signal, opts testbed.Options) (*testbed.Bed, error) {
	ctx, stop := untilSignal(signals)
	bed, err := testbed.Start(ctx, opts)
	stop()
	// The signal may have come too late for Start to heed it.
	if late := ctx.Err(); err == nil && late != nil {
		return nil, errors.Join(context.Cause(ctx), bed.Stop())
	}
	return bed, err
}

// untilSignal returns a context that ends with the first signal, and only with
// that. Unlike signal.NotifyContext, it leaves signals that come after stop has
// returned to the next reader.
func untilSignal(signals <-chan os.Signal) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case s := <-signals:
			cancel(fmt.Errorf("stopped by signal: %s", s))
		case <-stopping:
		}
	}()
	return ctx, func() {
		close(stopping)
		<-stopped
	}
}
