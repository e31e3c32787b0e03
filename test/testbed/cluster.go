package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// DefaultIssuer is the issuer of service account tokens in most clusters.
const DefaultIssuer = "https://kubernetes.default.svc.cluster.local"

// ClusterOptions configures [StartCluster].
type ClusterOptions struct {
	// Issuer of service account tokens, and the audience that the API server
	// accepts. Default: [DefaultIssuer].
	Issuer string

	// APIServerFlags are further flags of kube-apiserver, without dashes.
	APIServerFlags map[string]string
}

// Cluster is a running etcd and kube-apiserver. The package comment says what
// they lack for a whole cluster.
type Cluster struct {
	Host   string // https URL with a loopback address and no path
	CAPEM  string // the certificate authority of Host
	CAPath string // the file that holds CAPEM

	// Config and KubeconfigPath give all permissions (system:masters).
	Config         *rest.Config
	KubeconfigPath string

	// The key that signs service account tokens: whoever has it can sign what
	// the API server believes. Both are PEM.
	SigningKeyPEM       string
	SigningPublicKeyPEM string
	Issuer              string

	Dir string

	clients  clientCA
	plane    *envtest.ControlPlane
	logs     []*os.File
	guard    *guard
	stopOnce sync.Once
	stopErr  error
}

const (
	startTimeout = 2 * time.Minute // generous, for a busy machine
	stopTimeout  = 20 * time.Second
	startTries   = 3 // a free port may be taken before the server listens
)

// StartCluster starts etcd and kube-apiserver on free loopback ports, with
// their state and logs in dir, which is created if it is missing. RBAC is on,
// anonymous requests are authenticated as system:anonymous, and tokens of
// deleted service accounts are refused. ctx bounds the start only. If a server
// fails to start, the error ends with the last lines of its log.
func StartCluster(ctx context.Context, tools Tools, dir string, opts ClusterOptions) (*Cluster, error) {
	if opts.Issuer == "" {
		opts.Issuer = DefaultIssuer
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		c, err := startCluster(ctx, tools, dir, opts)
		if err == nil || try == startTries || !portTaken(err) {
			return c, err
		}
	}
}

func startCluster(ctx context.Context, tools Tools, dir string, opts ClusterOptions) (_ *Cluster, err error) {
	c := &Cluster{Dir: dir, Issuer: opts.Issuer}
	// What an attempt that failed half-way has left must not be picked up.
	for _, state := range []string{c.etcdDir(), c.apiServerDir()} {
		if err := errors.Join(os.RemoveAll(state), os.MkdirAll(state, 0o700)); err != nil {
			return nil, err
		}
	}
	if c.guard, err = newGuard(filepath.Join(dir, "run")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	if err := c.configure(tools, opts); err != nil {
		return nil, err
	}
	if err := c.startPlane(ctx); err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("cannot start the cluster: %w\n%s", err, c.logTails())
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx) // no log tells more
	}
	if err := c.publish(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Cluster) etcdDir() string      { return filepath.Join(c.Dir, "etcd") }
func (c *Cluster) apiServerDir() string { return filepath.Join(c.Dir, "kube-apiserver") }

// configure prepares everything up to the start of the processes.
func (c *Cluster) configure(tools Tools, opts ClusterOptions) (err error) {
	if err := c.writeSigningKey(); err != nil {
		return err
	}
	c.plane = &envtest.ControlPlane{
		Etcd:        &envtest.Etcd{DataDir: c.etcdDir()},
		APIServer:   &envtest.APIServer{CertDir: c.apiServerDir()},
		KubectlPath: tools.Kubectl,
	}
	etcd, api := c.plane.Etcd, c.plane.APIServer
	etcd.StartTimeout, etcd.StopTimeout = startTimeout, stopTimeout
	api.StartTimeout, api.StopTimeout = startTimeout, stopTimeout
	if etcd.Path, err = c.guard.wrap("etcd", tools.Etcd); err != nil {
		return err
	}
	if api.Path, err = c.guard.wrap("kube-apiserver", tools.KubeAPIServer); err != nil {
		return err
	}
	etcdLog, err := c.log("etcd")
	if err != nil {
		return err
	}
	apiLog, err := c.log("kube-apiserver")
	if err != nil {
		return err
	}
	etcd.Out, etcd.Err = etcdLog, etcdLog
	api.Out, api.Err = apiLog, apiLog
	flags := api.Configure().
		Set("authorization-mode", "RBAC").
		Set("service-account-issuer", c.Issuer).
		Set("service-account-signing-key-file", c.signingKeyPath()).
		Set("service-account-key-file", c.signingKeyPath()).
		Set("service-account-lookup", "true").
		// The address that it finds itself is missing on a machine with no network.
		Set("advertise-address", "127.0.0.1").
		// The service `kubernetes` needs no endpoints, and cannot have loopback ones.
		Set("endpoint-reconciler-type", "none")
	for name, value := range opts.APIServerFlags {
		flags.Set(name, value)
	}
	return nil
}

// startPlane starts the processes. envtest takes no context; when ours ends,
// killing the processes, of which more may follow, makes its Start return.
func (c *Cluster) startPlane(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- c.plane.Start() }()
	for canceled := ctx.Done(); ; {
		select {
		case err := <-done:
			return err
		case <-canceled:
			canceled = nil
		case <-time.After(100 * time.Millisecond):
		}
		if ctx.Err() != nil {
			_ = c.guard.kill() // what is left is killed by Stop
		}
	}
}

// publish fills in the fields that are known once the API server runs.
func (c *Cluster) publish(ctx context.Context) error {
	// No client-side rate limit, as tests may create objects by the hundred.
	admin, err := c.plane.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, &rest.Config{QPS: -1})
	if err != nil {
		return err
	}
	c.Config = admin.Config()
	c.Config.Host = strings.TrimSuffix(c.Config.Host, "/")
	c.Host, c.CAPEM = c.Config.Host, string(c.Config.CAData)
	kubeconfig, err := admin.KubeConfig()
	if err != nil {
		return err
	}
	c.KubeconfigPath = filepath.Join(c.Dir, "kubeconfig")
	c.CAPath = filepath.Join(c.Dir, "ca.crt")
	err = errors.Join(
		os.WriteFile(c.KubeconfigPath, kubeconfig, 0o600),
		os.WriteFile(c.CAPath, []byte(c.CAPEM), 0o644),
	)
	if err != nil {
		return err
	}
	return c.awaitDefaults(ctx)
}

// awaitDefaults waits for what the API server creates itself shortly after it
// reports to be healthy, and tests rely on.
func (c *Cluster) awaitDefaults(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return err
	}
	return poll(ctx, "the namespace default and the role system:auth-delegator", func(ctx context.Context) error {
		_, err1 := client.CoreV1().Namespaces().Get(ctx, "default", getOptions)
		_, err2 := client.RbacV1().ClusterRoles().Get(ctx, "system:auth-delegator", getOptions)
		return errors.Join(err1, err2)
	})
}

// PIDs returns the process ids of etcd and kube-apiserver, by name.
func (c *Cluster) PIDs() (map[string]int, error) { return c.guard.pids() }

// Stop ends both processes, at last by force, and leaves Dir as it is. Calling
// it again does nothing and returns the same error.
func (c *Cluster) Stop() error {
	c.stopOnce.Do(func() {
		var errs []error
		if c.plane != nil {
			errs = append(errs, c.plane.Stop())
		}
		// Whatever did not stop is still in the guard's records.
		errs = append(errs, c.guard.close())
		for _, log := range c.logs {
			errs = append(errs, log.Close())
		}
		c.stopErr = errors.Join(errs...)
	})
	return c.stopErr
}

func (c *Cluster) log(name string) (*os.File, error) {
	f, err := os.Create(filepath.Join(c.Dir, name+".log"))
	if err == nil {
		c.logs = append(c.logs, f)
	}
	return f, err
}

func (c *Cluster) logTails() string {
	var b strings.Builder
	for _, log := range c.logs {
		b.WriteString(logTail(log.Name()))
	}
	return b.String()
}
