package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/reviewertoken"
)

// renewing is a mount that makes its reviewer's tokens, with a clock that it shares with the
// API server.
type renewing struct {
	*mount
	ahead atomic.Int64 // nanoseconds
}

// reviewerAccount may make tokens of itself.
const reviewerAccount = kubetest.ReviewerNamespace + "/" + kubetest.ReviewerName

func newRenewing(t *testing.T) *renewing {
	r := &renewing{mount: newMount(t)}
	r.now = r.clock
	r.api.SetTokenClock(r.clock)
	r.api.Grant(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.TokenRequests)
	r.write("role/demo", r.role(nil))
	return r
}

func (r *renewing) clock() time.Time           { return time.Now().Add(time.Duration(r.ahead.Load())) }
func (r *renewing) passes(after time.Duration) { r.ahead.Add(int64(after)) }

// first is a configuration with a first token.
func (r *renewing) first(changes fields) fields {
	all := fields{"token_reviewer_service_account": reviewerAccount}
	maps.Copy(all, changes)
	return r.config(all)
}

// minute is what Vault does once a minute.
func (r *renewing) minute() outcome {
	r.t.Helper()
	o := r.do(logical.RollbackOperation, "", nil)
	if o.status != http.StatusOK {
		r.t.Fatalf("the work of a minute: %d %s", o.status, o.message)
	}
	return o
}

// minutes pass, in each of which somebody logs in.
func (r *renewing) minutes(n int) {
	r.t.Helper()
	for range n {
		r.passes(time.Minute)
		r.minute()
		r.mustLogin(r.token())
	}
}

// bearer is the credential of a login that is made now.
func (r *renewing) bearer() string {
	r.t.Helper()
	r.api.Forget()
	r.mustLogin(r.token())
	return r.api.Requests()[0].Bearer
}

// The first token is replaced at once and kept nowhere, and each that comes after it, once an
// hour, after four fifths of its life.
func TestReviewerRenewsItself(t *testing.T) {
	r := newRenewing(t)
	o := r.write("config", r.first(nil))
	if len(o.warnings) > 0 {
		t.Errorf("warned of %q", o.warnings)
	}
	own := r.bearer()
	if own == r.api.Reviewer || own == "" {
		t.Error("the first token is still in use")
	}
	for _, key := range []string{config.Path, reviewertoken.Path} {
		if strings.Contains(r.storage.text(t, key), r.api.Reviewer) {
			t.Errorf("the first token is kept in %s", key)
		}
	}
	if read := fmt.Sprint(r.read("config")); strings.Contains(read, own) || !strings.Contains(read, "token_reviewer_jwt_set:false") {
		t.Errorf("the configuration reads %s", read)
	}
	wantCheck(t, r.checked(), "reviewer_token", "pass", "the token of "+reviewerAccount+" ends at", "is replaced at")
	wantCheck(t, r.checked(), "permission_reviewer_token", "pass", "create serviceaccounts/token of "+reviewerAccount)
	wantCheck(t, r.checked(), "configuration", "pass", "that this mount made")

	r.api.Forget()
	const renewals = 50
	r.minutes(renewals * 48)
	if made := r.api.Count(kubetest.TokenRequests); made != renewals {
		t.Errorf("%d tokens in the time of %d", made, renewals)
	}
	if now := r.bearer(); now == own {
		t.Error("the token is the one of the beginning")
	}
	for _, request := range r.api.Requests() {
		if request.Resource == kubetest.TokenRequests && request.Bearer == "" {
			t.Error("a token was asked for without a credential")
		}
	}
	if lines := fmt.Sprint(r.logs.Take()); strings.Contains(lines, "could not be replaced") || !strings.Contains(lines, "the reviewer's token was replaced") {
		t.Errorf("the log has %s", lines)
	}
}

// What keeps a token from being replaced is told by check, the log and a metric; logins go on
// to its end, and heal as soon as what was wrong is mended.
func TestReviewerThatCannotBeRenewed(t *testing.T) {
	for name, row := range map[string]struct {
		breaks, mends func(r *renewing)
		words         string
	}{
		"the permission is withdrawn": {
			func(r *renewing) {
				r.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.TokenRequests)
			},
			func(r *renewing) {
				r.api.Grant(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.TokenRequests)
			}, "forbidden",
		},
		"an admission fails": {
			func(r *renewing) { r.api.Fail(kubetest.Status(http.StatusInternalServerError), kubetest.TokenRequests) },
			func(r *renewing) { r.api.Heal() }, "server error",
		},
		"a front answers": {
			func(r *renewing) { r.api.Fail(kubetest.WrongKind(), kubetest.TokenRequests) },
			func(r *renewing) { r.api.Heal() }, "unusable answer",
		},
		"a front shortens the tokens that it sees": {
			func(r *renewing) { r.api.Behind(shorteningTokens) },
			func(r *renewing) { r.api.Behind(nil) }, "cannot take its place: ",
		},
		"storage takes no writes": {
			func(r *renewing) { r.storage.failPut(reviewertoken.Path) },
			func(r *renewing) { r.storage.failPut("") }, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRenewing(t)
			r.write("config", r.first(nil))
			own := r.bearer()
			r.minutes(40)
			row.breaks(r)
			r.logs.Take()
			for range 15 {
				r.passes(time.Minute)
				r.do(logical.RollbackOperation, "", nil) // its error is for Vault's log
				r.mustLogin(r.token())
			}
			if row.words != "" {
				wantCheck(t, r.checked(), "reviewer_token", "warn", "could not be replaced", row.words, "ends in")
				if lines := fmt.Sprint(r.logs.Take()); !strings.Contains(lines, "the reviewer's token could not be replaced") || !strings.Contains(lines, "seconds_left:") {
					t.Errorf("the log has %s", lines)
				}
			}
			if left := r.secondsLeft(); left > 310 || left < 290 {
				t.Errorf("the metric says %v seconds, of five minutes", left)
			}
			row.mends(r)
			r.api.Forget()
			r.minutes(4)
			if made := r.api.Count(kubetest.TokenRequests); made != 1 {
				t.Errorf("%d tokens were asked for", made)
			}
			if r.bearer() == own {
				t.Error("the token was not replaced")
			}
			wantCheck(t, r.checked(), "reviewer_token", "pass")
		})
	}
}

// shorteningTokens is a front that masks the end of each token that an API server makes.
func shorteningTokens(server http.Handler) http.Handler {
	made := regexp.MustCompile(`("token": ?"[^".]+\.[^".]+)\.[^"]+"`)
	return kubetest.Changing(true, func(body []byte) []byte {
		if !bytes.Contains(body, []byte(`"kind":"TokenRequest"`)) {
			return body
		}
		return made.ReplaceAll(body, []byte(`$1.AAAA"`))
	})(server)
}

// A person may name another service account than the one whose token it is, or one that is not
// there: the answer to the write, check and the log say whose it is, and with the name of that
// one it goes on.
func TestReviewerOfAnotherName(t *testing.T) {
	for name, row := range map[string]struct {
		account string
		granted bool
	}{
		"another namespace":                      {"vault/" + kubetest.ReviewerName, false},
		"another name":                           {kubetest.ReviewerNamespace + "/nobody", false},
		"one that is not there, and may be made": {kubetest.ReviewerNamespace + "/nobody", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRenewing(t)
			if !row.granted {
				r.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.TokenRequests)
			}
			set := "token_reviewer_service_account=" + reviewerAccount
			o := r.write("config", r.first(fields{"token_reviewer_service_account": row.account}))
			if text := fmt.Sprint(o.warnings); !strings.Contains(text, "token_reviewer_jwt is of "+reviewerAccount) || !strings.Contains(text, set) {
				t.Errorf("the answer is %s", text)
			}
			lines := fmt.Sprint(r.logs.Take())
			if !strings.Contains(lines, set) || strings.Contains(lines, "seconds_left:0") {
				t.Errorf("the log has %s", lines)
			}
			r.mustLogin(r.token())
			wantCheck(t, r.checked(), "reviewer_token", "warn", "could not be replaced by one of "+row.account)
			if !row.granted {
				wantCheck(t, r.checked(), "permission_reviewer_token", "fail", "the reviewer, which is "+reviewerAccount+", may not create", set)
			}
			r.api.Grant(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.TokenRequests)
			if o := r.do(logical.PatchOperation, "config", fields{"token_reviewer_service_account": reviewerAccount}); o.err != nil || len(o.warnings) > 0 {
				t.Errorf("with its name: %+v", o)
			}
			wantCheck(t, r.checked(), "reviewer_token", "pass", "the token of "+reviewerAccount)
			r.mustLogin(r.token())
		})
	}
}

// An API server that has bounds of its own is believed about how long a token is good, and check
// says that it is not as long as was asked for.
func TestReviewerTokenOfAnotherLife(t *testing.T) {
	for name, row := range map[string]struct {
		given   string // seconds
		minutes int    // until it is replaced
	}{"longer": {"3600", 48}, "shorter": {"600", 8}} {
		t.Run(name, func(t *testing.T) {
			r := newRenewing(t)
			r.api.Behind(kubetest.Replacing(`"expirationSeconds":1800`, `"expirationSeconds":`+row.given, false))
			r.write("config", r.first(fields{"token_reviewer_ttl": 1800}))
			wantCheck(t, r.checked(), "reviewer_token", "pass", "in all, and token_reviewer_ttl asks for 30m0s")
			r.api.Forget()
			r.minutes(row.minutes - 1)
			if made := r.api.Count(kubetest.TokenRequests); made != 0 {
				t.Errorf("replaced after less than %d minutes", row.minutes)
			}
			r.minutes(1)
			if made := r.api.Count(kubetest.TokenRequests); made != 1 {
				t.Errorf("%d tokens were asked for", made)
			}
		})
	}
}

// secondsLeft is the metric; -1 where it is not there.
func (r *renewing) secondsLeft() float64 {
	r.t.Helper()
	body, _ := r.do(logical.ReadOperation, "metrics", nil).data[logical.HTTPRawBody].([]byte)
	for line := range strings.Lines(string(body)) {
		var left float64
		if _, err := fmt.Sscanf(line, "vault_kubernetes_auth_reviewer_seconds_left %g", &left); err == nil {
			return left
		}
	}
	return -1
}

// A node whose storage answers read-only asks for no token and refuses no login for it.
func TestReviewerOnReadOnlyNodes(t *testing.T) {
	for name, state := range map[string]consts.ReplicationState{
		"performance standby": consts.ReplicationPerformanceStandby, "performance secondary": consts.ReplicationPerformanceSecondary,
		"disaster recovery": consts.ReplicationDRSecondary, "it does not say": 0,
	} {
		t.Run(name, func(t *testing.T) {
			active := newRenewing(t)
			active.write("config", active.first(nil))
			other := active.another(state)
			active.storage.does(func(_ context.Context, op, _ string, do func() error) error {
				if op == "put" || op == "delete" {
					return errors.New("rpc: " + logical.ErrReadOnly.Error()) // as the plugin protocol has it
				}
				return do()
			})
			active.api.Forget()
			writes := active.storage.writes.Load()
			for range 55 {
				active.passes(time.Minute)
				other.minute()
				other.mustLogin(active.token())
			}
			if made := active.api.Count(kubetest.TokenRequests); made != 0 {
				t.Errorf("%d tokens were asked for", made)
			}
			if state != 0 && active.storage.writes.Load() != writes {
				t.Error("it tried to write")
			}
			if o := other.do(logical.UpdateOperation, "config/rotate-reviewer", nil); o.err == nil || !strings.Contains(o.err.Error(), logical.ErrReadOnly.Error()) {
				t.Errorf("by hand: %d %s; Vault would not pass it on", o.status, o.message)
			}
			// The one that may write renews, and the other uses what that stored.
			active.storage.does(func(_ context.Context, _, _ string, do func() error) error { return do() })
			active.minute()
			other.InvalidateKey(t.Context(), reviewertoken.Path)
			if one, two := active.bearer(), other.bearer(); one != two {
				t.Error("the other node does not use what is stored")
			}
		})
	}
}

// another is another node over the same storage.
func (r *renewing) another(state consts.ReplicationState) *renewing {
	r.t.Helper()
	node := &renewing{mount: newMount(r.t)}
	system := *node.System().(*logical.StaticSystemView)
	system.ReplicationStateVal = state
	if err := node.Setup(r.t.Context(), &logical.BackendConfig{Logger: node.logs, System: &system, StorageView: r.storage}); err != nil {
		r.t.Fatal(err)
	}
	node.storage, node.api, node.now = r.storage, r.api, r.clock
	return node
}
