package reviewertoken

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/turn"
)

var histories = flag.Int("histories", 60, "generated histories")

// world is a cluster, a storage and the nodes of a Vault, in a time of its own.
type world struct {
	t     *testing.T
	now   time.Time
	store *logical.InmemStorage
	nodes []*node
	// active is the node that may write.
	active int

	down, forbidden, gone bool
	mangled               bool // tokens, on their way from the API server
	failPut               bool
	generation            int // of the service account
	asked, made           int
	// during is what happens while a token is asked for.
	during func()
	// good is when each token ends, by the generation that it is of.
	good map[string]issued
	log  []string
}

type issued struct {
	generation int
	ends       time.Time
	other      bool // of somebody else
}

type node struct {
	*Keeper
	w     *world
	index int
}

const (
	life   = time.Hour
	wanted = "vault-auth/reviewer"
	host   = "https://host"
)

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), store: &logical.InmemStorage{}, good: map[string]issued{}}
	w.start()
	return w
}

// start starts a node, which becomes the active one.
func (w *world) start() {
	n := &node{w: w, index: len(w.nodes)}
	changes := &turn.Keys{}
	n.Keeper = &Keeper{
		Ctx: w.t.Context(), Now: func() time.Time { return w.now },
		MayWrite: func() bool { return w.active == n.index },
		Change: func(ctx context.Context, s logical.Storage, run func(s logical.Storage) error) error {
			release, err := changes.Take(ctx, Path, "config")
			if err != nil {
				return err
			}
			defer release()
			return run(n)
		},
		Wanted: func(ctx context.Context, s logical.Storage) (Want, error) { return w.want(), nil },
		Forget: func(ctx context.Context, s logical.Storage) error {
			return n.Put(ctx, &logical.StorageEntry{Key: "config"})
		},
		Ask: func(_ context.Context, _ logical.Storage, credential string, _ Want) (Made, error) {
			return w.ask(credential)
		},
		Try: func(_ context.Context, _ logical.Storage, credential string) error { return w.try(credential) },
	}
	w.active = n.index
	w.nodes = append(w.nodes, n)
}

// Put is that of the node, which may have been deposed meanwhile.
func (n *node) Put(ctx context.Context, entry *logical.StorageEntry) error {
	switch {
	case n.w.active != n.index:
		return errors.New("rpc error: " + logical.ErrReadOnly.Error())
	case n.w.failPut:
		return errors.New("storage is not there")
	}
	return n.w.store.Put(ctx, entry)
}
func (n *node) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	return n.w.store.Get(ctx, key)
}
func (n *node) Delete(ctx context.Context, key string) error { return n.w.store.Delete(ctx, key) }
func (n *node) List(ctx context.Context, prefix string) ([]string, error) {
	return n.w.store.List(ctx, prefix)
}
func (n *node) ListPage(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	return nil, errors.New("not used")
}

func (w *world) want() Want {
	first := ""
	if stored, _ := w.store.Get(w.t.Context(), "config"); stored != nil {
		first = string(stored.Value)
	}
	return Want{Account: wanted, Host: host, Life: life, First: first}
}

// write writes a first token, of the account or of somebody else.
func (w *world) write(token string, of issued) {
	w.good[token] = of
	if err := w.store.Put(w.t.Context(), &logical.StorageEntry{Key: "config", Value: []byte(token)}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) isGood(token string) bool {
	i, ok := w.good[token]
	return ok && w.now.Before(i.ends) && (i.other || i.generation == w.generation && !w.gone)
}

func (w *world) try(credential string) error {
	switch {
	case w.down:
		return &refusal.Refusal{Kind: refusal.CouldNotAsk, Reason: "nobody is there"}
	case !w.isGood(credential):
		return &Void{&refusal.Refusal{Kind: refusal.Denied, Reason: "unauthorized"}}
	}
	return nil
}

func (w *world) ask(credential string) (Made, error) {
	w.asked++
	if err := w.try(credential); err != nil {
		return Made{}, err
	}
	if w.forbidden || w.gone {
		return Made{}, &refusal.Refusal{Kind: refusal.Denied, Reason: "forbidden"}
	}
	if w.mangled {
		return Made{Token: "tok", Life: life}, nil
	}
	w.made++
	token := fmt.Sprintf("token-%d", w.made)
	w.good[token] = issued{generation: w.generation, ends: w.now.Add(life)}
	if w.during != nil {
		w.during()
		w.during = nil
	}
	return Made{Token: token, Life: life}, nil
}

// run is what Vault does once a minute on the active node.
func (w *world) run(u Urgency) Outcome {
	outcome, err := w.nodes[w.active].Run(w.t.Context(), nil, u)
	if err != nil && !w.failPut && !isReadOnly(err) {
		w.t.Fatalf("%v: %v", w.log, err)
	}
	return outcome
}

func (w *world) stored() *Entry {
	e, err := Read(w.t.Context(), w.store)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// used is the credential of logins.
func (w *world) used() string {
	if e := w.stored(); e.Serves(w.want()) {
		return e.Token
	}
	return w.want().First
}

func (w *world) minute() {
	w.now = w.now.Add(time.Minute)
	w.run(WhenDue)
}

func first(w *world) { w.write("first", issued{ends: w.now.Add(life)}) }

// A healthy history asks once a period, and not more.
func TestOnceAPeriod(t *testing.T) {
	w := newWorld(t)
	first(w)
	if o := w.run(FirstNow); o.Err != nil || o.Step != Exchange || w.want().First != "" || w.used() != "token-1" {
		t.Fatalf("the first token: %+v, used %q", o, w.used())
	}
	for i := 1; i <= 50*48; i++ {
		w.minute()
		if want := 1 + i/48; w.asked != want {
			t.Fatalf("after %d minutes %d requests, want %d", i, w.asked, want)
		}
	}
}

// What is written again changes nothing, and asks for nothing.
func TestFirstTokenIsKnownAgain(t *testing.T) {
	w := newWorld(t)
	first(w)
	w.run(FirstNow)
	w.now = w.now.Add(2 * time.Minute)
	first(w)
	if o := w.run(FirstNow); o.Step != Forget || w.asked != 1 || w.want().First != "" || w.used() != "token-1" {
		t.Errorf("written again: %+v, %d requests, used %q", o, w.asked, w.used())
	}
	// A new one is, and where it is no good, it is not kept.
	w.write("void", issued{generation: 9, ends: w.now.Add(life)})
	if o := w.run(FirstNow); !o.Unused || o.Err == nil || w.used() != "token-1" || w.want().First != "" || w.stored().Troubled(w.now.Add(life)) {
		t.Errorf("a void one: %+v, used %q", o, w.used())
	}
	// Where the stored one is void, the other is used though it cannot be exchanged yet.
	w.generation++
	w.forbidden = true
	w.write("anew", issued{generation: 1, ends: w.now.Add(life)})
	if o := w.run(FirstNow); o.Err == nil || w.used() != "anew" {
		t.Errorf("the account made anew: %+v, used %q", o, w.used())
	}
	w.forbidden = false
	w.minute()
	w.minute()
	if w.want().First != "" || !strings.HasPrefix(w.used(), "token-") {
		t.Errorf("it was not exchanged once that was allowed: used %q", w.used())
	}
}

// Whoever writes a first token has it exchanged. If that was done by another writer meanwhile,
// nothing is asked for.
func TestTwoWriters(t *testing.T) {
	w := newWorld(t)
	first(w)
	w.run(FirstNow)
	if o := w.run(FirstNow); o.Step != Nothing || w.asked != 1 {
		t.Errorf("the second writer: %+v, %d requests", o, w.asked)
	}
	if o := w.run(AllNow); o.Step != Renew || w.asked != 2 {
		t.Errorf("by hand: %+v, %d requests", o, w.asked)
	}
}

// A first token that is written again keeps nobody from replacing the one that is stored: neither
// when that is due, nor by hand.
func TestFirstTokenAtTheTimeOfARenewal(t *testing.T) {
	for name, row := range map[string]struct {
		after time.Duration
		u     Urgency
		want  Step
		asked int
	}{
		"not due":          {47 * time.Minute, WhenDue, Forget, 1},
		"due":              {48 * time.Minute, WhenDue, Renew, 2},
		"due, by a writer": {48 * time.Minute, FirstNow, Renew, 2},
		"by hand":          {time.Minute, AllNow, Renew, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			first(w)
			w.run(FirstNow)
			w.now = w.now.Add(row.after)
			first(w)
			if o := w.run(row.u); o.Step != row.want || w.asked != row.asked || w.want().First != "" {
				t.Errorf("%+v, %d requests, first %q; want %v and %d", o, w.asked, w.want().First, row.want, row.asked)
			}
		})
	}
}

// A good token is not given up for one that was mangled on its way, nor is a first one.
func TestMangledTokens(t *testing.T) {
	w := newWorld(t)
	w.mangled = true
	first(w)
	if o := w.run(FirstNow); o.Err == nil || w.used() != "first" {
		t.Fatalf("the first token: %+v, used %q", o, w.used())
	}
	w.mangled = false
	w.minute()
	good := w.used()
	w.mangled = true
	w.now = w.now.Add(48 * time.Minute)
	if o := w.run(WhenDue); o.Err == nil || w.used() != good || !w.isGood(good) || !w.stored().Troubled(w.now) {
		t.Fatalf("a renewal: %+v, used %q", o, w.used())
	}
	w.mangled = false
	w.minute()
	if w.used() == good || !w.isGood(w.used()) {
		t.Errorf("it was not replaced once tokens came through: used %q", w.used())
	}
}

// A token that storage did not take is stored later, and not asked for again.
func TestStorageThatFails(t *testing.T) {
	w := newWorld(t)
	first(w)
	w.run(FirstNow)
	w.now = w.now.Add(48 * time.Minute)
	w.during = func() { w.failPut = true }
	w.run(WhenDue)
	w.failPut = false
	w.minute()
	if w.asked != 2 || w.used() != "token-2" {
		t.Errorf("%d requests, used %q", w.asked, w.used())
	}
}

// A node that is deposed while it asks stores nothing, and the one that takes over goes on with
// the good token.
func TestFailoverInTheMiddle(t *testing.T) {
	w := newWorld(t)
	first(w)
	w.run(FirstNow)
	w.now = w.now.Add(48 * time.Minute)
	w.during = func() { w.start() }
	w.run(WhenDue)
	if w.used() != "token-1" || !w.isGood(w.used()) {
		t.Fatalf("used %q", w.used())
	}
	w.run(WhenDue)
	if w.asked != 2 {
		t.Error("the next node asked at once, while the one before may be asking")
	}
	w.minute()
	w.minute()
	if w.asked != 3 || w.used() != "token-3" {
		t.Errorf("%d requests, used %q", w.asked, w.used())
	}
}

// A node that comes back after another one stored a token does not bring its own in the place
// of that.
func TestFailoverThereAndBack(t *testing.T) {
	w := newWorld(t)
	first(w)
	w.run(FirstNow)
	w.now = w.now.Add(48 * time.Minute)
	w.during = func() {
		w.during = nil
		w.start()
		w.run(AllNow)
		w.active = 0
	}
	if o := w.run(WhenDue); o.Step != Nothing || o.Entry == nil || w.made != 3 || w.used() != "token-3" {
		t.Errorf("%+v, %d made, used %q", o, w.made, w.used())
	}
}

// Of many who ask at a time, each has its turn, and no two ask at a time.
func TestOneAtATime(t *testing.T) {
	w := newWorld(t)
	first(w)
	w.run(FirstNow)
	w.now = w.now.Add(48 * time.Minute)
	inner := make(chan struct{})
	w.during = func() {
		go func() {
			defer close(inner)
			if _, err := w.nodes[0].Run(t.Context(), nil, WhenDue); err != nil {
				t.Error(err)
			}
		}()
	}
	w.run(WhenDue)
	<-inner
	if w.asked != 2 {
		t.Errorf("%d requests", w.asked)
	}
}

// Whatever happens: while some token that the mount could have is good, logins have a good one;
// and there is no more than one successful request in a period and a node that takes over.
func TestHistories(t *testing.T) {
	for seed := range *histories {
		w := newWorld(t)
		random := rand.New(rand.NewPCG(uint64(seed), 1))
		first(w)
		w.run(FirstNow)
		extra := 1
		for range 600 {
			w.event(random, &extra)
			w.minute()
			w.judge(seed)
		}
		if periods := 600/48 + 1; w.made > periods+extra {
			t.Fatalf("seed %d: %d tokens in %d periods, with %d that may be more: %v", seed, w.made, periods, extra, w.log)
		}
	}
}

func (w *world) event(random *rand.Rand, extra *int) {
	say := func(what string) { w.log = append(w.log, fmt.Sprintf("%s %s", w.now.Format("15:04"), what)) }
	switch random.IntN(66) {
	case 0:
		w.down = !w.down
		say(fmt.Sprint("down ", w.down))
	case 1:
		w.forbidden = !w.forbidden
		say(fmt.Sprint("forbidden ", w.forbidden))
	case 2:
		w.start()
		say("failover")
	case 3:
		w.during = func() { w.start() }
		*extra++
		say("failover in the middle, when there is one")
	case 4:
		w.failPut = !w.failPut
		say(fmt.Sprint("storage fails ", w.failPut))
	case 5:
		w.generation++
		token := fmt.Sprintf("anew-%d", w.generation)
		w.write(token, issued{generation: w.generation, ends: w.now.Add(life)})
		*extra += 2
		say("the account anew, and a first token of it")
		w.run(FirstNow)
	case 6:
		w.write("first", issued{generation: -1})
		say("a first token that is void")
		w.run(FirstNow)
	case 8:
		w.mangled = !w.mangled
		say(fmt.Sprint("mangled ", w.mangled))
	case 7:
		say("by hand")
		*extra += 2
		w.run(AllNow)
	}
}

// judge is the property: a stored token that is good stays in use, or another good one is.
func (w *world) judge(seed int) {
	if w.isGood(w.used()) {
		return
	}
	e, want := w.stored(), w.want()
	for name, token := range map[string]string{"stored": e.Token, "first": want.First} {
		if token != "" && w.isGood(token) && !w.down && !w.failPut {
			// It may have been written in this minute, while nobody could be asked.
			if name == "first" && w.now.Before(e.Attempt.Add(2*time.Minute)) {
				continue
			}
			w.t.Fatalf("seed %d: %s is good and not used, but %q; %v", seed, token, w.used(), w.log)
		}
	}
}
