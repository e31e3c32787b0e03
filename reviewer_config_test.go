package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/reviewertoken"
)

// What cannot be is refused when it is written, and changes nothing.
func TestReviewerIsConfigured(t *testing.T) {
	r := newRenewing(t)
	certificate, key := r.api.ClientCertificate(certifiedUser, time.Now().Add(time.Hour))
	refused := func(name string, o outcome, words string) {
		t.Helper()
		if o.status != http.StatusBadRequest || !strings.Contains(o.message, words) {
			t.Errorf("%s: %d %s, want %q", name, o.status, o.message, words)
		}
	}
	for name, row := range map[string]struct {
		changes fields
		words   string
	}{
		"no namespace":       {fields{"token_reviewer_service_account": "reviewer"}, "not namespace/name"},
		"a path":             {fields{"token_reviewer_service_account": "a/b/c"}, "not namespace/name"},
		"what ends a path":   {fields{"token_reviewer_service_account": "a/.."}, "relative path"},
		"letters of no name": {fields{"token_reviewer_service_account": "Vault/Auth"}, "not namespace/name"},
		"no first token":     {fields{"token_reviewer_jwt": nil}, "needs a first token"},
		"an empty one":       {fields{"token_reviewer_jwt": ""}, "needs a first token"},
		"a name of a file":   {fields{"token_reviewer_jwt": "reviewer.jwt"}, "token_reviewer_jwt=@reviewer.jwt"},
		"beside certificate": {fields{"kubernetes_client_cert": certificate, "kubernetes_client_key": key, "token_reviewer_jwt": nil}, "two reviewers"},
		"a life too short":   {fields{"token_reviewer_ttl": "9m"}, "between 10m0s and"},
		"a life too long":    {fields{"token_reviewer_ttl": "720h"}, "between 10m0s and"},
		"a part of a second": {fields{"token_reviewer_ttl": "1500ms"}, "whole seconds"},
		"a life of nobody":   {fields{"token_reviewer_ttl": "30m", "token_reviewer_service_account": ""}, "needs token_reviewer_service_account"},
	} {
		o := r.do(logical.UpdateOperation, "config", r.first(row.changes))
		if name == "what ends a path" {
			row.words = "" // in the words of whoever comes first
		}
		refused(name, o, row.words)
	}
	if r.storage.text(t, config.Path)+r.storage.text(t, reviewertoken.Path) != "" {
		t.Error("something was stored")
	}

	r.write("config", r.first(fields{"token_reviewer_ttl": "20m"}))
	if read := r.read("config"); read["token_reviewer_service_account"] != reviewerAccount || read["token_reviewer_ttl"] != int64(1200) {
		t.Errorf("it reads %v", read)
	}
	own := r.bearer()
	// Writes that say nothing of the reviewer, as Terraform makes them, take nothing away.
	for _, changes := range []fields{{"token_reviewer_jwt": nil}, {"token_reviewer_jwt": ""}, {"token_reviewer_jwt": r.api.Reviewer}} {
		all := merge(r.config(nil), changes)
		if changes["token_reviewer_jwt"] == nil {
			delete(all, "token_reviewer_jwt")
		}
		r.api.Forget()
		if o := r.write("config", all); len(o.warnings) > 0 {
			t.Errorf("%v: warned of %q", changes, o.warnings)
		}
		if r.api.Count(kubetest.TokenRequests) != 0 || r.bearer() != own {
			t.Errorf("%v: the token is another one", changes)
		}
		if strings.Contains(r.storage.text(t, config.Path), r.api.Reviewer) {
			t.Errorf("%v: the first token is kept", changes)
		}
	}
	wantCheck(t, r.checked(), "reviewer_token", "pass")

	// The account in the form that the API server has it in is the same one.
	r.write("config", r.config(fields{"token_reviewer_service_account": "system:serviceaccount:" + strings.ReplaceAll(reviewerAccount, "/", ":")}))
	if got := r.read("config")["token_reviewer_service_account"]; got != reviewerAccount || r.bearer() != own {
		t.Errorf("it is %v, and its token another one: %t", got, r.bearer() != own)
	}

	// It goes to no other API server and is of no other account.
	other := kubetest.Start(t)
	for name, changes := range map[string]fields{
		"another API server": {"kubernetes_host": other.URL, "kubernetes_ca_cert": other.CAPEM},
		"another account":    {"token_reviewer_service_account": "apps/web"},
	} {
		refused(name, r.do(logical.PatchOperation, "config", changes), "goes to no other")
	}
	if len(other.Requests()) > 0 {
		t.Error("the other API server was asked")
	}
	other.Grant(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.TokenRequests)
	o := r.do(logical.PatchOperation, "config", fields{"kubernetes_host": other.URL, "kubernetes_ca_cert": other.CAPEM, "token_reviewer_jwt": other.Reviewer})
	if o.status != http.StatusOK || len(o.warnings) > 0 {
		t.Errorf("with a first token of it: %d %s %q", o.status, o.message, o.warnings)
	}
	for _, request := range other.Requests() {
		if request.Bearer == own {
			t.Error("the token went to another API server")
		}
	}

	// Taken back, nothing is left of it, and its loss is told.
	r.write("config", r.first(nil))
	o = r.do(logical.PatchOperation, "config", fields{"token_reviewer_service_account": "", "token_reviewer_ttl": 0, "token_reviewer_jwt": r.api.Reviewer})
	if o.status != http.StatusOK || !strings.Contains(fmt.Sprint(o.warnings), "is no longer replaced") {
		t.Errorf("taken back: %d %s %q", o.status, o.message, o.warnings)
	}
	if r.storage.text(t, reviewertoken.Path) != "" || r.bearer() != r.api.Reviewer {
		t.Error("the token that the mount made is still there")
	}
	refused("by hand", r.do(logical.UpdateOperation, "config/rotate-reviewer", nil), "no token_reviewer_service_account")
	r.write("config", r.first(nil))
	r.do(logical.DeleteOperation, "config", nil)
	if r.storage.text(t, reviewertoken.Path) != "" {
		t.Error("it outlives the configuration")
	}
}

// A first token that cannot be replaced yet is used meanwhile, the answer says why, and it is
// replaced once that is mended. One that cannot stand in for what works is not kept.
func TestReviewerFirstToken(t *testing.T) {
	r := newRenewing(t)
	r.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.TokenRequests)
	o := r.write("config", r.first(nil))
	if !strings.Contains(fmt.Sprint(o.warnings), "could not be replaced") || !strings.Contains(fmt.Sprint(o.warnings), "deploy/components/reviewer-token") {
		t.Errorf("warned of %q", o.warnings)
	}
	if r.bearer() != r.api.Reviewer {
		t.Error("the first token is not used")
	}
	wantCheck(t, r.checked(), "reviewer_token", "warn", "the first token", "could not be replaced", "config/rotate-reviewer")
	wantCheck(t, r.checked(), "permission_reviewer_token", "fail", "--resource-name="+kubetest.ReviewerName, "so its token is not replaced")
	if o := r.do(logical.UpdateOperation, "config/rotate-reviewer", nil); o.status != http.StatusServiceUnavailable || !strings.Contains(o.message, "forbidden") {
		t.Errorf("by hand: %d %s", o.status, o.message)
	}
	r.api.Grant(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.TokenRequests)
	r.minutes(2)
	own := r.bearer()
	if own == r.api.Reviewer || strings.Contains(r.storage.text(t, config.Path), r.api.Reviewer) {
		t.Error("the first token was not replaced")
	}
	// A token of somebody who may make tokens of it, though it may not review: kept for what it can.
	r.api.AddServiceAccount("vault-auth", "maker")
	r.api.Grant("vault-auth", "maker", kubetest.TokenRequests)
	if o := r.do(logical.PatchOperation, "config", fields{"token_reviewer_jwt": r.api.Token("vault-auth", "maker")}); o.status != http.StatusOK || len(o.warnings) > 0 {
		t.Errorf("a token of another: %d %s %q", o.status, o.message, o.warnings)
	}
	if made := r.bearer(); made == own {
		t.Error("it was not exchanged")
	}
	o = r.do(logical.PatchOperation, "config", fields{"token_reviewer_jwt": r.api.Token("apps", "web")})
	if !strings.Contains(fmt.Sprint(o.warnings), "is not used and not kept") {
		t.Errorf("a token that may nothing: warned of %q", o.warnings)
	}
	r.mustLogin(r.token())
	wantCheck(t, r.checked(), "reviewer_token", "pass")

	// The service account is made anew: nothing that there is is good, until a first token is.
	r.api.DeleteServiceAccount(kubetest.ReviewerNamespace, kubetest.ReviewerName)
	r.api.AddServiceAccount(kubetest.ReviewerNamespace, kubetest.ReviewerName)
	wantRefused(t, r.login("demo", r.token()), http.StatusForbidden)
	wantCheck(t, r.checked(), "reviewer", "fail", "deleted or created anew", "kubectl create token "+kubetest.ReviewerName+" -n "+kubetest.ReviewerNamespace)
	r.do(logical.PatchOperation, "config", fields{"token_reviewer_jwt": r.api.Token(kubetest.ReviewerNamespace, kubetest.ReviewerName)})
	r.mustLogin(r.token())
	r.minutes(60)

	// By hand, at any time.
	before := r.bearer()
	if o := r.do(logical.UpdateOperation, "config/rotate-reviewer", nil); o.status != http.StatusOK || o.data["token_reviewer_service_account"] != reviewerAccount {
		t.Errorf("by hand: %d %s %v", o.status, o.message, o.data)
	}
	if r.bearer() == before {
		t.Error("by hand, nothing was replaced")
	}
}

// A token that ended while Vault was sealed is told from one that could not be replaced.
func TestReviewerThatEnded(t *testing.T) {
	r := newRenewing(t)
	r.write("config", r.first(nil))
	r.passes(2 * time.Hour)
	wantRefused(t, r.login("demo", r.token()), http.StatusForbidden)
	wantCheck(t, r.checked(), "reviewer_token", "fail", "nothing replaced it", "kubectl create token")
	if left := r.secondsLeft(); left > 0 {
		t.Errorf("the metric says %v", left)
	}
	r.do(logical.PatchOperation, "config", fields{"token_reviewer_jwt": r.api.Token(kubetest.ReviewerNamespace, kubetest.ReviewerName)})
	r.mustLogin(r.token())
}

// A node that takes over goes on with the good token and replaces it, and one that is deposed
// while it asks stores nothing.
func TestReviewerFailover(t *testing.T) {
	r := newRenewing(t)
	r.write("config", r.first(nil))
	own := r.bearer()
	r.minutes(47)
	next := r.another(0)
	r.storage.does(func(_ context.Context, op, key string, do func() error) error {
		if op == "put" && strings.Contains(key, "reviewer") && r.api.Count(kubetest.TokenRequests) > 0 {
			return logical.ErrReadOnly // deposed since it asked
		}
		return do()
	})
	r.api.Forget()
	r.passes(time.Minute)
	r.minute()
	r.storage.does(func(_ context.Context, _, _ string, do func() error) error { return do() })
	if next.bearer() != own {
		t.Error("the good token is gone")
	}
	next.passes(0)
	for range 3 {
		r.passes(time.Minute)
		next.minute()
		next.mustLogin(r.token())
	}
	if next.bearer() == own {
		t.Error("the node that took over does not replace it")
	}
}
