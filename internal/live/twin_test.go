package live

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"vault-plugin-auth-kubernetes/internal/clock"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/token"
)

var (
	histories = flag.Int("histories", 300, "how many histories of a cluster are generated")
	first     = flag.Uint64("first", 0, "the number of the first of them")
)

// wire is a cluster at the end of a network: what comes over it comes late, in order, or
// not at all. It is all in one bubble of synctest, where nobody waits for time to pass.
type wire struct {
	server *kubetest.Server
	begun  time.Time

	mu sync.Mutex
	// network decides how late an answer comes. Who acts has chances of its own, which
	// are the same whatever the network does.
	network *rand.Rand
	// step is by how much the wall clock of the plugin's machine was set off.
	step            time.Duration
	down, forbidden bool
	late            time.Duration // what an answer takes at most

	// plant changes what comes, as a fault of the code that follows would.
	plant    func(*wire, *kube.Event) (drop bool)
	keys     []byte // are served for ever, if they are set
	trusting bool   // the API server's clock seems to be this machine's
}

func (w *wire) clock() clock.Moment {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	return clock.Moment{Wall: now.Add(w.step), Running: now.Sub(w.begun)}
}

func (w *wire) delay() {
	w.mu.Lock()
	d := time.Duration(0)
	if w.late > 0 {
		d = time.Duration(w.network.Int64N(int64(w.late)))
	}
	w.mu.Unlock()
	time.Sleep(d)
}

// ask fails as a request does now, and tells what the header of the answer shows.
func (w *wire) ask(watches bool) (kube.Observation, error) {
	at := w.clock().Wall
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.down:
		return kube.Observation{}, &kube.Error{Op: kube.OpFollow, Failure: kube.Connection, Err: errors.New("refused")}
	case watches && w.forbidden:
		return kube.Observation{}, &kube.Error{Op: kube.OpFollow, Failure: kube.Forbidden, Err: errors.New("forbidden")}
	}
	seen := kube.Observation{Answered: true, Date: time.Now().Truncate(time.Second), At: at}
	if w.trusting {
		seen.Date = at
	}
	return seen, nil
}

func resourceOf(kind kube.Kind) kubetest.Resource { return "watch/" + kubetest.Resource(kind) }

func (w *wire) ListUIDs(_ context.Context, kind kube.Kind, each func(kube.Event)) (string, kube.Observation, error) {
	w.delay()
	seen, err := w.ask(true)
	if err != nil {
		return "", seen, err
	}
	list := w.server.List(resourceOf(kind))
	w.delay()
	for _, item := range list.Items {
		each(kube.Event{UID: string(item.UID), Deleting: item.DeletionTimestamp != nil})
	}
	return list.ResourceVersion, seen, nil
}

func (w *wire) NewestVersion(_ context.Context, kind kube.Kind) (string, kube.Observation, error) {
	w.delay()
	seen, err := w.ask(true)
	if err != nil {
		return "", seen, err
	}
	list := w.server.List(resourceOf(kind))
	w.delay()
	return list.ResourceVersion, seen, nil
}

func (w *wire) WatchUIDs(ctx context.Context, kind kube.Kind, after string, while time.Duration, each func(kube.Event)) (kube.Observation, error) {
	w.delay()
	seen, err := w.ask(true)
	if err != nil {
		return seen, err
	}
	err = w.server.Follow(ctx, resourceOf(kind), after, while, func(told watch.Event) error {
		object := told.Object.(*metav1.PartialObjectMetadata)
		event := kube.Event{
			UID: string(object.UID), Deleting: object.DeletionTimestamp != nil, Version: object.ResourceVersion,
			Bookmark: told.Type == watch.Bookmark, Gone: told.Type == watch.Deleted, Seen: seen,
		}
		w.delay()
		if w.plant == nil || !w.plant(w, &event) {
			each(event)
		}
		return ctx.Err()
	})
	if apierrors.IsResourceExpired(err) {
		err = &kube.Error{Op: kube.OpFollow, Failure: kube.Malformed, Err: kube.ErrTooOld}
	}
	return seen, err
}

func (w *wire) Keys(context.Context) (token.Keys, string, error) {
	w.delay()
	if _, err := w.ask(false); err != nil {
		return token.Keys{}, "", err
	}
	document := w.server.KeySet()
	if w.keys != nil {
		document = w.keys
	}
	w.delay()
	keys, err := token.ParseKeySet(document)
	return keys, w.server.Issuer, err
}

func (w *wire) Close() {}

// asking is the API server as the last resort. What it says is right by definition, so
// the twin does not even ask.
type asking struct{ asked int }

var errAsked = errors.New("the API server is asked")

func (a *asking) Review(context.Context, *token.Unverified, []string) (identity.Identity, error) {
	a.asked++
	return identity.Identity{}, errAsked
}

// history is one cluster and what happens to it.
type history struct {
	*wire
	random   *rand.Rand // what happens next
	reviewer *Reviewer
	session  *Session
	parser   token.Parser
	tokens   []issued
	said     []string // what happened, for whoever reads of a failure
	yes, no  int
	counts   map[string]int
}

// issued is a token, and when the API server said yes to it last.
type issued struct {
	raw string
	yes time.Time
}

var (
	names  = []string{"web", "db"}
	pods   = []string{"web-1", "web-2", "db-1"}
	bounds = []time.Duration{2 * time.Minute, 4 * time.Minute, time.Hour}
)

func newHistory(seed uint64, staleness time.Duration) *history {
	w := &wire{server: kubetest.Unserved(), begun: time.Now(), network: rand.New(rand.NewPCG(seed, 18))}
	h := &history{wire: w, random: rand.New(rand.NewPCG(seed, 17)), counts: map[string]int{}}
	h.session = newSession(Options{
		Connect: func() (Cluster, error) { return w, nil }, Clock: w.clock,
		Staleness: staleness, Jitter: time.Second, Failed: func(error) {},
	})
	h.reviewer = &Reviewer{Session: h.session, Ask: &asking{}, Counted: func(result string) { h.counts[result]++ }}
	for _, name := range names {
		w.server.AddServiceAccount("apps", name)
	}
	for _, pod := range pods {
		w.server.AddPod("apps", pod, "node-1")
	}
	return h
}

func (h *history) pick(n int) int { return h.random.IntN(n) }

func (h *history) one(of []string) string { return of[h.pick(len(of))] }

// issue makes a token as a cluster would, of any kind.
func (h *history) issue() {
	name := h.one(names)
	changes := []kubetest.Change{kubetest.Audience("vault"), kubetest.Lifetime(bounds[h.pick(len(bounds))])}
	switch h.pick(8) {
	case 0:
		changes = append(changes, h.server.BoundToNode("node-1"))
	case 1:
		changes = append(changes, h.server.BoundToSecret("secret"))
	case 2: // to nothing
	default:
		if pod := h.one(pods); h.podThere(pod) {
			changes = append(changes, h.server.BoundToPod(pod))
		}
	}
	h.tokens = append(h.tokens, issued{raw: h.server.Token("apps", name, changes...)})
	if len(h.tokens) > 4 {
		h.tokens = h.tokens[1:]
	}
}

func (h *history) podThere(name string) bool {
	for _, item := range h.server.List(kubetest.PodWatch).Items {
		if item.Name == name {
			return true
		}
	}
	return false
}

// changes are what may happen to the cluster, the network and the clock.
var changes = []struct {
	name string
	do   func(*history)
}{
	{"account deleted", func(h *history) { h.server.DeleteServiceAccount("apps", h.one(names)) }},
	{"account made anew", func(h *history) { h.server.AddServiceAccount("apps", h.one(names)) }},
	{"account's deletion begins", func(h *history) {
		h.server.BeginDeletion(kubetest.ServiceAccounts, "apps", h.one(names), 0)
	}},
	{"pod deleted", func(h *history) { h.server.DeletePod("apps", h.one(pods)) }},
	{"pod made anew", func(h *history) { h.server.AddPod("apps", h.one(pods), "node-1") }},
	{"pod's deletion begins", func(h *history) {
		h.server.BeginDeletion(kubetest.Pods, "apps", h.one(pods), time.Duration(h.pick(3))*15*time.Second)
	}},
	{"secret and node deleted", func(h *history) { h.server.DeleteSecret("apps", "secret"); h.server.DeleteNode("node-1") }},
	{"key rotated", func(h *history) { h.server.RotateKey() }},
	{"keys retired", func(h *history) { h.server.RotateKey(); h.server.RetireKeys() }},
	{"clock set", func(h *history) {
		steps := []time.Duration{-time.Hour, -5 * time.Minute, -2 * time.Minute, -4 * time.Second, 0, 4 * time.Second, 2 * time.Minute, time.Hour}
		h.set(func() { h.step = steps[h.pick(len(steps))] })
	}},
	{"watches cut", func(h *history) { h.server.CutWatches() }},
	{"watches silent", func(h *history) { h.server.SilenceWatches(true) }},
	{"watches speak", func(h *history) { h.server.SilenceWatches(false) }},
	{"history forgotten", func(h *history) { h.server.ForgetHistory(); h.server.CutWatches() }},
	{"API server down", func(h *history) { h.set(func() { h.down = true }); h.server.ForgetHistory(); h.server.CutWatches() }},
	{"API server up", func(h *history) { h.set(func() { h.down = false }) }},
	{"permission withdrawn", func(h *history) { h.set(func() { h.forbidden = true }); h.server.CutWatches() }},
	{"permission granted", func(h *history) { h.set(func() { h.forbidden = false }) }},
	{"network", func(h *history) { h.set(func() { h.late = time.Duration(h.pick(3)) * time.Second }) }},
	{"all well", func(h *history) {
		h.set(func() { h.down, h.forbidden, h.late, h.step = false, false, 0, 0 })
		h.server.SilenceWatches(false)
		h.server.AddServiceAccount("apps", h.one(names))
		h.server.AddPod("apps", h.one(pods), "node-1")
	}},
}

func (h *history) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// judge notes to which tokens the API server says yes now.
func (h *history) judge() {
	for i := range h.tokens {
		if h.server.Review(h.tokens[i].raw, []string{"vault"}).Authenticated {
			h.tokens[i].yes = time.Now()
		}
	}
}

// logIn returns an error if live says yes and the rule does not allow that.
func (h *history) logIn(staleness time.Duration) error {
	if len(h.tokens) == 0 {
		return nil
	}
	i := h.pick(len(h.tokens))
	unverified, err := h.parser.Parse(h.tokens[i].raw)
	if err != nil {
		return err
	}
	id, err := h.reviewer.Review(context.Background(), unverified, []string{"vault"})
	if err != nil {
		h.no++
		return nil
	}
	h.yes++
	status := h.server.Review(h.tokens[i].raw, []string{"vault"})
	if status.Authenticated {
		said, err := identity.FromReview(&status, []string{"vault"})
		if err != nil || said.ForLease() != id.ForLease() {
			return fmt.Errorf("yes to %s, and the API server says %s", id.ForLease(), said.ForLease())
		}
		return nil
	}
	if ago := time.Since(h.tokens[i].yes); h.tokens[i].yes.IsZero() || ago > staleness {
		return fmt.Errorf("yes to a token to which the API server says no (%s), and said yes %s ago", status.Error, ago)
	}
	return nil
}

// play goes through a history.
func (h *history) play(steps int, staleness time.Duration) error {
	for range 3 {
		h.issue()
	}
	h.judge()
	for range steps {
		switch n := h.pick(10); {
		case n < 2:
			c := changes[h.pick(len(changes))]
			if h.pick(3) == 0 {
				c = changes[len(changes)-1]
			}
			h.judge()
			c.do(h)
			h.say(c.name)
		case n < 4:
			h.issue()
			h.judge()
			h.say("a token")
		case n < 7:
			for range 2 {
				if err := h.logIn(staleness); err != nil {
					return err
				}
			}
		default:
			h.judge()
			waits := []time.Duration{50 * time.Millisecond, time.Second, 3 * time.Second, 8 * time.Second, 12 * time.Second, time.Minute}
			d := waits[h.pick(len(waits))]
			h.say(d.String())
			time.Sleep(d)
			synctest.Wait()
		}
	}
	return nil
}

func (h *history) say(what string) {
	h.said = append(h.said, fmt.Sprintf("%s %s", time.Since(h.begun).Round(time.Millisecond), what))
}

// playAll generates histories until one breaks the rule, and tells what live said.
func playAll(t *testing.T, count int, staleness time.Duration, prepare func(*history)) (yes, no int, broken error) {
	t.Helper()
	total := map[string]int{}
	defer func() { t.Log(total) }()
	for seed := range uint64(count) {
		synctest.Test(t, func(*testing.T) {
			h := newHistory(*first+seed, staleness)
			if prepare != nil {
				prepare(h)
			}
			err := h.play(60, DefaultStaleness)
			h.server.SilenceWatches(false)
			h.session.end()
			time.Sleep(time.Minute)
			synctest.Wait()
			yes, no = yes+h.yes, no+h.no
			for k, v := range h.counts {
				total[k] += v
			}
			if err != nil {
				broken = fmt.Errorf("history %d: %w\n%s", seed, err, strings.Join(h.said, "\n"))
			}
		})
		if broken != nil {
			break
		}
	}
	return yes, no, broken
}

// What live says yes to, the API server says yes to, or did within the staleness, whatever
// happens to the cluster, the network and the clock.
func TestTwin(t *testing.T) {
	yes, no, broken := playAll(t, *histories, DefaultStaleness, nil)
	if broken != nil {
		t.Fatal(broken)
	}
	t.Logf("%d histories: %d times yes by itself, %d times not", *histories, yes, no)
	if yes*10 < yes+no {
		t.Errorf("%d times yes and %d times not: live is of no use", yes, no)
	}
}

// A twin that would not notice a fault proves nothing.
func TestTwinNoticesFaults(t *testing.T) {
	for name, row := range map[string]struct {
		staleness time.Duration
		prepare   func(*history)
	}{
		"what is old counts": {staleness: 10 * time.Minute},
		"deletions are lost": {DefaultStaleness, func(h *history) {
			h.plant = func(_ *wire, e *kube.Event) bool { return e.Gone }
		}},
		"deletions that begin are lost": {DefaultStaleness, func(h *history) {
			h.plant = func(_ *wire, e *kube.Event) bool { e.Deleting = false; return false }
		}},
		"keys are read once": {DefaultStaleness, func(h *history) { h.keys = h.server.KeySet() }},
		"a bookmark that comes too early": {DefaultStaleness, func(h *history) {
			h.plant = func(_ *wire, e *kube.Event) bool {
				time.Sleep(time.Second) // the last event comes with each watch anew
				e.Bookmark = true
				return false
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, broken := playAll(t, 1000, row.staleness, row.prepare); broken == nil {
				t.Error("1000 histories, and nothing was noticed")
			}
		})
	}
}
