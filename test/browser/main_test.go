// Package browser tests the page in web/ in a real headless Chromium: with a real
// Vault and a real Kubernetes API server behind it, and with a fake Vault that answers
// what a real one would not.
//
// CHROMIUM is the browser to use, chromium if it is unset; make test-web installs one.
// go test -short leaves out what needs the real processes.
package browser

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"vault-plugin-auth-kubernetes/test/testbed"
)

var (
	bed     *testbed.Bed    // nil with -short
	dir     string          // what testdata/setup.sh left behind, tokens above all
	browser context.Context // chromedp's, of the one Chromium
	root    string          // of the repository
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := findRoot(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if testing.Short() {
		os.Exit(withBrowser(m))
	}
	os.Exit(testbed.RunTests(runner(func() int { return withBrowser(m) }), testbed.Options{Progress: os.Stderr}, prepare))
}

type runner func() int

func (r runner) Run() int { return r() }

func findRoot() (err error) {
	root, err = testbed.RepositoryRoot()
	return err
}

// withBrowser starts a browser, which ends with this process at the latest.
func withBrowser(m *testing.M) int {
	path := os.Getenv("CHROMIUM")
	if path == "" {
		path = "chromium"
	}
	if _, err := exec.LookPath(path); err != nil {
		fmt.Fprintf(os.Stderr, "no browser: %v; scripts/install-chromium.sh installs one\n", err)
		return 1
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		// Nothing but this machine can be reached, whatever page or browser try.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses root otherwise
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	var cancel context.CancelFunc
	browser, cancel = chromedp.NewContext(allocator)
	defer cancel()
	if err := chromedp.Do(browser); err != nil {
		fmt.Fprintln(os.Stderr, "cannot start the browser:", err)
		return 1
	}
	return m.Run()
}

// prepare fills the bed as an operator would.
func prepare(ctx context.Context, started *testbed.Bed) (stop func() error, err error) {
	bed = started
	dir = filepath.Join(bed.Dir, "browser")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	script, err := filepath.Abs(filepath.Join("testdata", "setup.sh"))
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "bash", script)
	cmd.Dir, cmd.Env = dir, append(append(os.Environ(), bed.Env()...), "ROOT="+root)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", script, err, out)
	}
	return nil, nil
}
