package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/logtest"
	"vault-plugin-auth-kubernetes/internal/metadata"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/rules"
)

// A history is what several clients of a mount, and another node of its cluster, do at
// the same time: they write, patch, delete and import, hang up, and log in, while storage
// is slow and fails. It is generated from a seed; judge_test.go says what must hold.
//
// go test -race . -run TestHistories -histories 10000
var (
	histories   = flag.Int("histories", 60, "how many histories are generated")
	historySeed = flag.Uint64("history-seed", 0, "the seed of the first; 0 is any")
)

const (
	clientsOfAHistory = 4
	stepsOfAClient    = 8
)

// Where what a history changes is stored.
var (
	historyRoles = []string{"role/a", "role/b"}
	historyRules = []string{"binding-rule/r1", "binding-rule/r2", "binding-rule/consul-i"}
)

func TestHistories(t *testing.T) {
	seed := *historySeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	api := kubetest.Start(t)
	api.AddServiceAccount("apps", "web")
	// For either audience: a configuration that an import makes asks for the API server's.
	token := api.Token("apps", "web", kubetest.Audience("vault", api.Issuer))
	t.Run("all", func(t *testing.T) { // ends before the API server does
		for i := range uint64(*histories) {
			t.Run(fmt.Sprint(seed+i), func(t *testing.T) {
				t.Parallel()
				newHistory(t, api, token, seed+i).run()
				if t.Failed() {
					t.Logf("go test -race . -run TestHistories -histories 1 -history-seed %d", seed+i)
				}
			})
		}
	})
}

type history struct {
	*mount
	record
	token string
	clock *clock
	// another node of the cluster: it has the same storage, and sees no faults.
	other *mount

	mu     sync.Mutex
	random *rand.Rand
}

func newHistory(t *testing.T, api *kubetest.Server, token string, seed uint64) *history {
	h := &history{token: token, clock: &clock{at: time.Now()}, random: rand.New(rand.NewPCG(seed, 0))}
	stored := newStorage()
	h.mount = nodeOf(t, api, stored, h.clock)
	h.other = nodeOf(t, api, stored, h.clock)
	stored.does(h.storageDoes)
	return h
}

// nodeOf is a mount on storage that it shares.
func nodeOf(t *testing.T, api *kubetest.Server, stored *storage, c *clock) *mount {
	m := &mount{backend: newBackend(), t: t, api: api, storage: stored, logs: logtest.New()}
	m.podCA = kube.NewFile(filepath.Join("none", "ca.crt"), nil)
	m.podToken = kube.NewFile(filepath.Join("none", "token"), nil)
	m.log.Logins = false
	m.now = c.now
	if err := m.Setup(t.Context(), &logical.BackendConfig{Logger: m.logs, System: logical.TestSystemView(), StorageView: stored}); err != nil {
		t.Fatal(err)
	}
	return m
}

// n is a random number below limit.
func (h *history) n(limit int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.random.IntN(limit)
}

func (h *history) oneIn(n int) bool { return h.n(n) == 0 }

// run is a whole history.
func (h *history) run() {
	defer h.Cleanup(context.Background())
	defer h.other.Cleanup(context.Background())
	h.begin()
	var all sync.WaitGroup
	for range clientsOfAHistory {
		all.Go(func() {
			for range stepsOfAClient {
				h.step()
			}
		})
	}
	all.Wait()
	h.storage.around.Store(nil) // no more faults
	h.logIn("a")
	h.logIn("")
	h.advance(time.Minute)
	for _, role := range []string{"a", "b", ""} {
		h.logIn(role)
	}
	h.judge()
}

// begin writes everything once, and mostly logs in, so that it is remembered.
func (h *history) begin() {
	for _, key := range historyRoles {
		h.change(h.mount, h.fullWrite(key), writes, false)
	}
	h.change(h.mount, h.fullWrite("config"), writes, false)
	for _, key := range historyRules[:2] {
		h.change(h.mount, h.fullWrite(key), writes, false)
	}
	if h.oneIn(3) {
		return
	}
	for _, role := range []string{"a", "b", ""} {
		h.logIn(role)
	}
}

// step is one thing that a client does.
func (h *history) step() {
	switch h.n(20) {
	case 0:
		h.advance(time.Duration(h.n(70)) * time.Second)
	case 1:
		h.importRule()
	case 2, 3:
		h.change(h.mount, h.anyChange("config"), writes, h.oneIn(4))
	case 4, 5, 6:
		h.change(h.mount, h.anyChange(historyRoles[h.n(len(historyRoles))]), writes, h.oneIn(4))
	case 7, 8, 9:
		h.change(h.mount, h.anyChange(historyRules[h.n(len(historyRules))]), writes, h.oneIn(4))
	case 10, 11:
		keys := append(append([]string{"config"}, historyRoles...), historyRules...)
		h.change(h.other, h.anyChange(keys[h.n(len(keys))]), []told{isTold, isNotTold}[h.n(2)], false)
	default:
		h.logInAndMayHangUp([]string{"a", "b", "", ""}[h.n(4)], h.oneIn(4))
	}
}

// request is a change of what is stored under a key.
type request struct {
	operation logical.Operation
	path      string
	data      fields
	// partial changes leave alone what logins show of the entry.
	partial bool
}

func (h *history) anyChange(key string) request {
	switch h.n(4) {
	case 0:
		return request{operation: logical.DeleteOperation, path: key}
	case 1:
		return h.partialWrite(key)
	}
	return h.fullWrite(key)
}

// fullWrite writes a value that was never there before.
func (h *history) fullWrite(key string) request {
	value := fmt.Sprint("v", h.tick())
	r := request{operation: logical.UpdateOperation, path: key}
	switch {
	case key == "config":
		r.data = h.config(fields{"cluster_name": value, "token_review_cache_ttl": 60})
	case strings.HasPrefix(key, role.Prefix):
		r.data = h.role(fields{"token_policies": value})
	default:
		r.data = fields{"bind_type": "policy", "bind_name": value + "-${serviceaccount.name}-" + strings.TrimPrefix(key, rules.Prefix)}
	}
	return r
}

func (h *history) partialWrite(key string) request {
	other := h.tick()
	r := request{operation: logical.UpdateOperation, path: key, partial: true}
	switch {
	case key == "config":
		r.operation, r.data = logical.PatchOperation, fields{"max_concurrent_reviews": other + 1}
	case strings.HasPrefix(key, role.Prefix):
		r.data = fields{"token_ttl": other + 1}
	default:
		r.operation, r.data = logical.PatchOperation, fields{"description": fmt.Sprint(other)}
	}
	return r
}

// told says whether the node under test is told of a change.
type told int

const (
	writes    told = iota // it makes it
	isTold                // another node makes it, and the host says so
	isNotTold             // the same, and what the host says is lost
)

// change makes a change on a node. Where the client hangs up, it does so at some time.
func (h *history) change(node *mount, r request, t told, hangsUp bool) {
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	if hangsUp {
		time.AfterFunc(time.Duration(h.n(1000))*time.Microsecond, cancel)
	}
	op := h.began(r)
	if op.elsewhere = node == h.other; op.elsewhere {
		// One node at a time is active and changes storage; two never change the same
		// entry at once.
		release, err := h.changes.Turns.Take(ctx, r.path)
		if err != nil {
			h.t.Error(err)
			return
		}
		defer release()
	}
	node.as(context.WithValue(ctx, opKey{}, op), r.operation, r.path, r.data)
	if t == isTold {
		h.InvalidateKey(h.t.Context(), r.path)
	}
	if t == isNotTold {
		h.untold(op, h.clock.now())
		return
	}
	h.ended(op)
}

func (h *history) importRule() {
	h.change(h.mount, request{
		operation: logical.UpdateOperation, path: "import/consul", partial: true,
		data: fields{
			"tokens": "vault", "auth_method": h.consulMethod(),
			"binding_rules": "[" + consulRule("i", "", "policy", fmt.Sprintf("v%d-${serviceaccount.name}-consul-i", h.tick())) + "]",
		},
	}, writes, h.oneIn(4))
}

// advance moves the clock.
func (h *history) advance(by time.Duration) {
	h.clock.advance(by)
	h.settled(h.clock.now())
}

func (h *history) logIn(role string) { h.logInAndMayHangUp(role, false) }

// logInAndMayHangUp logs in, and keeps what the login went by. Where the client hangs
// up, it does so at some time.
func (h *history) logInAndMayHangUp(role string, hangsUp bool) {
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	if hangsUp {
		time.AfterFunc(time.Duration(h.n(1000))*time.Microsecond, cancel)
	}
	begun := h.tick()
	o := h.as(ctx, logical.UpdateOperation, "login", fields{"role": role, "jwt": h.token})
	l := observed{begun: begun, ended: h.tick(), role: role, status: o.status, message: o.message}
	if o.auth != nil {
		l.policies, l.cluster = o.auth.Policies, o.auth.Metadata[metadata.Cluster]
	}
	if errors.Is(o.err, context.Canceled) && !hangsUp {
		h.t.Errorf("another client hung up, and this one reads %v", o.err)
	}
	if o.status == http.StatusForbidden && role != "" || o.status == http.StatusServiceUnavailable && !hangsUp {
		h.t.Errorf("a login that nothing speaks against: %d %s, %v", o.status, o.message, h.logs.Take())
	}
	h.saw(l)
}

type opKey struct{}

// storageDoes is what storage does with the requests of the node under test: it takes
// its time before and after it reads or commits, and now and then fails, having
// committed or not.
func (h *history) storageDoes(ctx context.Context, op, key string, do func() error) error {
	made, _ := ctx.Value(opKey{}).(*operation)
	if op == "put" || op == "delete" {
		do = h.committing(made, key, do)
	}
	if made != nil && made.elsewhere {
		return do()
	}
	if err := h.wait(ctx); err != nil {
		return err
	}
	fails := op != "list" && h.oneIn(12)
	if fails && h.oneIn(2) {
		return errStorage
	}
	if err := do(); err != nil {
		return err
	}
	if err := h.wait(ctx); err != nil {
		return err
	}
	if fails {
		return errStorage
	}
	return nil
}

// wait is how long storage takes. It ends with the context, as a request to the host
// does.
func (h *history) wait(ctx context.Context) error {
	if !h.oneIn(3) {
		return nil
	}
	select {
	case <-time.After(time.Duration(h.n(500)) * time.Microsecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
