package main

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/errutil"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/cache"
	"vault-plugin-auth-kubernetes/internal/change"
	"vault-plugin-auth-kubernetes/internal/cluster"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/consultoken"
	"vault-plugin-auth-kubernetes/internal/contain"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/live"
	"vault-plugin-auth-kubernetes/internal/login"
	"vault-plugin-auth-kubernetes/internal/processors"
	"vault-plugin-auth-kubernetes/internal/reviewertoken"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/rules"
	"vault-plugin-auth-kubernetes/internal/serve"
	"vault-plugin-auth-kubernetes/internal/telemetry"
	"vault-plugin-auth-kubernetes/internal/token"
)

const (
	loginPath = "login"

	// operationPrefix begins the OpenAPI operation names, which generated
	// clients of Vault turn into function names.
	operationPrefix = "kubernetes"
)

// Where Kubernetes puts the credentials of a pod that Vault itself runs in.
const (
	podCAPath    = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
	podTokenPath = "/var/run/secrets/kubernetes.io/serviceaccount/token" //nolint:gosec // a path, not a credential
)

const backendHelp = `
The Kubernetes auth method trades the token of a Kubernetes service account for
a Vault token. The Kubernetes API server is asked about every token, and what it
answers decides which role the service account may use.
`

// backend is one mount. All of its state is in the host's storage; what it keeps
// in memory can be dropped at any time.
type backend struct {
	*framework.Backend

	cluster *cluster.Current
	roles   *cache.Cache[logical.Storage, role.Role] // by lower-case name
	rules   *rules.Store
	consul  *consultoken.Current
	tokens  token.Parser

	changes  change.Changes
	reviewer *reviewertoken.Keeper

	// ctx ends with the mount; what several logins wait for runs under it, and not
	// under one of theirs.
	ctx context.Context
	end context.CancelFunc

	podCA    *kube.File
	podToken *kube.File
	log      *telemetry.Log
	metrics  *telemetry.Metrics
	now      func() time.Time
	after    func(time.Duration) <-chan time.Time
}

// Factory makes the backend of a mount. It does no network or storage I/O, so a
// cluster that is down cannot keep Vault from starting or unsealing.
func Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	b := newBackend()
	if err := b.Setup(ctx, conf); err != nil {
		return nil, err
	}
	return b, nil
}

func newBackend() *backend {
	b := &backend{
		podCA:    kube.NewFile(podCAPath, nil),
		podToken: kube.NewFile(podTokenPath, nil),
		log:      telemetry.NewLog(),
		now:      time.Now,
		after:    time.After,
	}
	b.ctx, b.end = context.WithCancel(context.Background())
	b.roles = cache.New(b.ctx, change.ReadTimeout, b.time, b.loadRole)
	b.rules = b.newRules()
	b.metrics = telemetry.NewMetrics(version, b.rules.Len)
	b.cluster = b.newCluster()
	b.metrics.Follow(b.followed)
	b.consul = consultoken.NewCurrent(b.ctx, change.ReadTimeout, b.time, consultoken.Options{
		Meter: &b.metrics.ConsulMeter, UserAgent: "vault-plugin-auth-kubernetes/" + version,
	})
	b.changes.Doubt, b.changes.Stored = b.doubt, b.stored
	b.reviewer = b.newReviewerKeeper()
	b.metrics.ReviewerEnds(b.cluster.CredentialEnds, b.time)
	b.Backend = &framework.Backend{
		Help:           strings.TrimSpace(backendHelp),
		BackendType:    logical.TypeCredential,
		RunningVersion: version,
		AuthRenew:      b.pathLoginRenew,
		Invalidate:     b.invalidate,
		Clean:          b.clean,
		PeriodicFunc:   b.periodic,
		PathsSpecial: &logical.Paths{
			Unauthenticated: []string{loginPath, consulLoginPath, consulLogoutPath},
			SealWrapStorage: []string{config.Path, consultoken.Path, reviewertoken.Path},
		},
		Secrets: []*framework.Secret{b.consulSecret()},
		Paths: framework.PathAppend(
			[]*framework.Path{
				b.pathLogin(), b.pathConfig(), b.pathRotateReviewer(), b.pathCheck(), b.pathExplain(), b.pathMetrics(), b.pathImportConsul(),
			},
			b.pathsRole(),
			b.pathsRule(),
			b.pathsConsul(),
			b.pathsAccess(),
		),
	}
	return b
}

// HandleRequest is called by the host for every request. A path with .. is refused
// here as the host's storage would refuse it; its error would come back through the
// plugin protocol as an internal one.
func (b *backend) HandleRequest(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	response, err := b.handle(ctx, req)
	return response, b.contained(req, err)
}

// errFault is what the caller of a request reads that came upon a panic.
var errFault = errors.New("internal error: Vault's server log says where")

// contained writes where a panic happened to the log, and says no more to whoever called.
func (b *backend) contained(req *logical.Request, err error) error {
	if fault := (*contain.Fault)(nil); errors.As(err, &fault) {
		b.Logger().Error("a request ended by a fault of the plugin; please report it", "mount", req.MountPoint, "operation", req.Operation, "fault", fault.Error())
		return errFault
	}
	return err
}

func (b *backend) handle(ctx context.Context, req *logical.Request) (response *logical.Response, err error) {
	defer contain.Panics(&err)
	numbersAsSent(req)
	emptyPairsAsNone(req)
	documentsAsSent(req)
	switch write := req.Operation == logical.UpdateOperation || req.Operation == logical.CreateOperation; {
	case isRelative(req.Path) && write:
		return logical.ErrorResponse(login.RelativePath), nil
	case isRelative(req.Path):
		return nil, &logical.StatusBadRequest{Err: login.RelativePath}
	}
	if req.Path == config.Path {
		if err := config.RefuseNumbers(req.Data); err != nil {
			return withoutSecrets(req, logical.ErrorResponse(err.Error()), nil)
		}
	}
	response, err = b.Backend.HandleRequest(kube.Until(ctx, serve.Ending(ctx)), req)
	if response.IsError() {
		if reason := ofValue(req, response.Error().Error()); reason != "" {
			response.Data["error"] = reason
		}
	}
	return withoutSecrets(req, response, err)
}

// HandleExistenceCheck is called by the host before a write.
func (b *backend) HandleExistenceCheck(ctx context.Context, req *logical.Request) (checkFound, exists bool, err error) {
	defer func() { err = b.contained(req, err) }()
	defer contain.Panics(&err)
	if isRelative(req.Path) {
		return false, false, nil // left to HandleRequest
	}
	numbersAsSent(req)
	documentsAsSent(req)
	checkFound, exists, err = b.Backend.HandleExistenceCheck(ctx, req)
	if err != nil {
		if reason := ofValue(req, err.Error()); reason != "" {
			err = errutil.UserError{Err: reason}
		}
		_, err = withoutSecrets(req, nil, err)
	}
	return checkFound, exists, err
}

// numbersAsSent undoes what the plugin protocol makes of numbers. They arrive as
// floating point, which the framework reads otherwise than it does in a method that
// is built into Vault: 1.5 would pass for a whole number, and 2 for true.
func numbersAsSent(req *logical.Request) {
	for field, value := range req.Data {
		if number, ok := value.(float64); ok {
			req.Data[field] = json.Number(strconv.FormatFloat(number, 'f', -1, 64))
		}
	}
}

func isRelative(path string) bool { return strings.Contains(path, "..") }

// invalidate is called by the host when another node of the cluster wrote key.
func (b *backend) invalidate(_ context.Context, key string) {
	b.doubt(key)
	if key == config.Path {
		b.cluster.Close()
	}
}

// clean is called when the mount goes away, or the plugin is reloaded.
func (b *backend) clean(context.Context) {
	b.end()
	b.cluster.Doubt()
	b.cluster.Close()
	b.consul.Close()
}

// liveSessions are those of the process: mounts that follow the same cluster share one.
var liveSessions live.Shared

// liveJitter is within which time the sessions of a Vault that was restarted begin.
var liveJitter = time.Second

// followed is what the mount knows of its cluster with verification=live.
func (b *backend) followed() (f telemetry.Followed, ok bool) {
	c, _ := b.cluster.Peek()
	if c == nil || c.Live == nil {
		return f, false
	}
	state := c.Live.State()
	return telemetry.Followed{Age: state.Age, ServiceAccounts: state.ServiceAccounts, Pods: state.Pods}, state.Known
}

// newCluster is the cluster of the mount, as it is configured.
func (b *backend) newCluster() *cluster.Current {
	return cluster.NewCurrent(b.ctx, change.ReadTimeout, &cluster.Options{
		PodCA:       func() (string, error) { return b.podCA.Read() },
		PodToken:    func() (string, error) { return b.podToken.Read() },
		Reviewer:    newReviewer,
		Now:         b.time,
		After:       func(d time.Duration) <-chan time.Time { return b.after(d) },
		UserAgent:   "vault-plugin-auth-kubernetes/" + version,
		Meter:       &b.metrics.Meter,
		Turn:        b.turnAtWork,
		Loaded:      b.metrics.ConfigLoads.Inc,
		Reviewed:    b.metrics.Reviewed,
		Looked:      b.metrics.CacheLookup,
		Verified:    func(by identity.Means, result string) { b.metrics.Verified(string(by), result) },
		NotFollowed: func(host string, err error) { b.log.NotFollowed(b.Logger(), host, err) },
		Live:        &liveSessions,
		Jitter:      liveJitter,
	})
}

// time is what b.now says, which tests replace.
func (b *backend) time() time.Time { return b.now() }

// newRules makes the store of the mount's rules.
func (b *backend) newRules() *rules.Store {
	return rules.New(b.ctx, rules.Options{
		Prefix: rules.Prefix,
		Decode: func(name string, stored []byte) (binding.Rule, error) {
			entry, err := rules.Decode(name, &logical.StorageEntry{Value: stored})
			if err != nil {
				return binding.Rule{}, err
			}
			return entry.Rule(name), nil
		},
		Timeout: change.ReadTimeout,
		Now:     b.time,
		Unusable: func(name string, err error) {
			b.Logger().Warn("a stored binding rule cannot be used and matches nothing", "rule", name, "error", err)
		},
		Read: func() { b.metrics.RuleLoads.Inc() },
	})
}

// loadRole is the cache's loader; last is the role as it was read before.
func (b *backend) loadRole(ctx context.Context, s logical.Storage, name string, last *role.Role) (*role.Role, error) {
	b.metrics.RoleLoads.Inc()
	r, selectorError, err := role.Load(ctx, s, name, last)
	if selectorError != nil {
		b.Logger().Warn("the namespace selector of a role cannot be parsed and matches nothing", "role", name, "error", selectorError)
	}
	return r, err
}

// change lets run change the entries under keys. A role is checked against require_audience
// of the configuration without that one's turn: a role without an audience that is written
// at the same time as the setting is refused at login.
func (b *backend) change(
	ctx context.Context, s logical.Storage, keys []string, run func(s logical.Storage) (*logical.Response, error),
) (response *logical.Response, err error) {
	err = b.changes.Do(ctx, s, keys, func(s logical.Storage) (err error) {
		response, err = run(s)
		return err
	})
	return response, err
}

// doubt makes whoever comes from now on read what is stored under key.
func (b *backend) doubt(key string) {
	switch {
	case key == config.Path:
		b.cluster.Doubt()
	case key == reviewertoken.Path:
		b.cluster.DoubtOwn()
	case key == consultoken.Path:
		b.consul.Doubt()
	case strings.HasPrefix(key, role.Prefix):
		b.roles.Drop(strings.TrimPrefix(key, role.Prefix))
	case strings.HasPrefix(key, rules.Prefix):
		b.rules.Changed(strings.TrimPrefix(key, rules.Prefix))
	}
}

// stored hears what was stored under key.
func (b *backend) stored(key string, value []byte) {
	switch key {
	case config.Path:
		b.cluster.Stored(value)
	case consultoken.Path:
		b.metrics.UseConsul()
	}
}

// at is the mount as the storage of one request has it.
func (b *backend) at(s logical.Storage) login.Mount { return view{b, s} }

type view struct {
	b       *backend
	storage logical.Storage
}

func (v view) Cluster(ctx context.Context) (*cluster.Cluster, error) {
	return v.b.cluster.Get(ctx, v.storage)
}

func (v view) Role(ctx context.Context, name string) (*role.Role, error) {
	return v.b.roles.Get(ctx, v.storage, role.Key(name))
}

func (v view) Remembered(name string) (*role.Role, bool) { return v.b.roles.Peek(name) }

func (v view) Rules(ctx context.Context) (*binding.RuleSet, error) {
	return v.b.rules.Get(ctx, v.storage)
}

func (v view) Confirm(ctx context.Context, rules []string) (again bool, err error) {
	return v.b.rules.Confirm(ctx, v.storage, rules)
}

func (v view) Parse(jwt string) (*token.Unverified, error) { return v.b.tokens.Parse(jwt) }
func (v view) Now() time.Time                              { return v.b.now() }

func (v view) Turn(ctx context.Context) (release func(), err error) { return v.b.turnAtWork(ctx) }

// turnAtWork is a turn of the mount at what takes long.
func (b *backend) turnAtWork(ctx context.Context) (release func(), err error) {
	return processors.TakeLong(ctx, b)
}
