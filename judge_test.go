package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/rules"
)

// record is what happened in a history. Times are ticks, of which each is later than
// the one before.
type record struct {
	rec     sync.Mutex
	ticks   int
	commits map[string][]commit // by key, in their order
	logins  []observed
	pending []*operation // whose end the node under test is not told
}

// operation is a request that changes something.
type operation struct {
	request
	elsewhere bool      // on the other node
	committed time.Time // by the clock of the history; of those that nobody is told of
	// ended is when nobody may go by what was before any more; 0 is not yet.
	ended int
}

// commit is when storage took something over.
type commit struct {
	at    int
	value string // "" is gone
	by    *operation
}

// observed is what a login went by.
type observed struct {
	begun, ended int
	role         string
	status       int
	message      string
	policies     []string
	cluster      string
}

func (r *record) tick() int {
	r.rec.Lock()
	defer r.rec.Unlock()
	r.ticks++
	return r.ticks
}

func (r *record) began(q request) *operation { return &operation{request: q} }

func (r *record) ended(op *operation) {
	now := r.tick()
	r.rec.Lock()
	defer r.rec.Unlock()
	op.ended = now
}

// untold notes a change that has been committed and that the node is not told of.
func (r *record) untold(op *operation, at time.Time) {
	r.rec.Lock()
	defer r.rec.Unlock()
	op.committed = at
	r.pending = append(r.pending, op)
}

// settled says what time it is: what happened a minute ago counts.
func (r *record) settled(now time.Time) {
	tick := r.tick()
	r.rec.Lock()
	defer r.rec.Unlock()
	r.pending = slices.DeleteFunc(r.pending, func(op *operation) bool {
		settled := now.Sub(op.committed) >= time.Minute
		if settled {
			op.ended = tick
		}
		return settled
	})
}

func (r *record) saw(l observed) {
	r.rec.Lock()
	defer r.rec.Unlock()
	r.logins = append(r.logins, l)
}

// committing makes a commit one that is noted. Both are done at once, so that the
// record has the order of storage.
func (h *history) committing(by *operation, key string, do func() error) func() error {
	return func() error {
		h.rec.Lock()
		defer h.rec.Unlock()
		before := h.shownOf(key)
		if err := do(); err != nil {
			return err
		}
		after := h.shownOf(key)
		if by != nil && by.partial && !strings.HasPrefix(key, rules.Prefix+"consul-") && by.operation != logical.DeleteOperation {
			h.judgePartial(by, key, before, after)
		}
		h.ticks++
		if h.commits == nil {
			h.commits = map[string][]commit{}
		}
		h.commits[key] = append(h.commits[key], commit{at: h.ticks, value: after, by: by})
		return nil
	}
}

// judgePartial judges a commit that changes something which logins do not show. It must
// bring nothing back, and change nothing else. Only an import makes a configuration.
func (h *history) judgePartial(by *operation, key, before, after string) {
	imports := by.path == "import/consul"
	made := imports && (before == "" || after == "")
	if before != after && !made {
		h.t.Errorf("%s %s, which changes something else, makes %q of %q in %s", by.operation, by.path, after, before, key)
	}
}

// unnamed is a configuration without a cluster name, as an import makes it.
const unnamed = "unnamed"

// shownOf is what logins show of what is stored under a key; "" if nothing is.
func (h *history) shownOf(key string) string {
	entry, err := h.storage.InmemStorage.Get(h.t.Context(), key)
	if err != nil {
		h.t.Error(err)
	}
	if entry == nil {
		return ""
	}
	var shown struct {
		ClusterName string   `json:"cluster_name"`
		Policies    []string `json:"token_policies"`
		BindName    string   `json:"bind_name"`
	}
	if err := json.Unmarshal(entry.Value, &shown); err != nil {
		h.t.Error(err)
	}
	if key == config.Path && shown.ClusterName == "" {
		return unnamed
	}
	return strings.ReplaceAll(shown.ClusterName+strings.Join(shown.Policies, ",")+shown.BindName, "${serviceaccount.name}", "web")
}

// judge holds every login against what was stored while it ran.
func (h *history) judge() {
	for _, l := range h.logins {
		for key, value := range l.wentBy() {
			if allowed := h.allowed(key, l); !slices.Contains(allowed, value) {
				h.t.Errorf("the login under %q from %d to %d (%d %s) went by %q in %s, which could be %q:%s",
					l.role, l.begun, l.ended, l.status, l.message, value, key, allowed, h.story(key))
			}
		}
	}
}

// allowed are the values that a login could find under a key: that of the last change
// which had ended when it began, and those of commits that came after that one's.
func (h *history) allowed(key string, l observed) []string {
	commits := h.commits[key]
	last := -1
	for i, c := range commits {
		if c.by.ended > 0 && c.by.ended < l.begun {
			last = i
		}
	}
	values := []string{""}
	if last >= 0 {
		values = nil
	}
	for _, c := range commits[max(last, 0):] {
		if c.at < l.ended {
			values = append(values, c.value)
		}
	}
	return values
}

// wentBy is what a login shows of what it read, by key. A login that ended with an error
// of storage shows nothing.
func (l observed) wentBy() map[string]string {
	switch {
	case l.status == 500 && l.message == refusal.ErrNoConfiguration.Error():
		return map[string]string{config.Path: ""}
	case l.status == 400 && l.role != "":
		return map[string]string{role.Prefix + l.role: ""}
	case l.status == 400 || l.status == 403:
		return l.rules()
	case l.status != 200:
		return nil
	}
	shown := map[string]string{config.Path: l.cluster}
	if l.cluster == "" {
		shown[config.Path] = unnamed
	}
	if l.role != "" {
		shown[role.Prefix+l.role] = strings.Join(l.policies, ",")
		return shown
	}
	for key, value := range l.rules() {
		shown[key] = value
	}
	return shown
}

// rules is what a login without a role shows of each rule.
func (l observed) rules() map[string]string {
	shown := map[string]string{}
	for _, key := range historyRules {
		shown[key] = ""
		for _, policy := range l.policies {
			if strings.HasSuffix(policy, "-web-"+strings.TrimPrefix(key, rules.Prefix)) {
				shown[key] = policy
			}
		}
	}
	return shown
}

// story is what became of a key.
func (h *history) story(key string) string {
	var b strings.Builder
	for _, c := range h.commits[key] {
		fmt.Fprintf(&b, "\n  at %d %q by %s %s, elsewhere: %t, ended %d", c.at, c.value, c.by.operation, c.by.path, c.by.elsewhere, c.by.ended)
	}
	return b.String()
}
