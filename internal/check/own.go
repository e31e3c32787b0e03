package check

import (
	"fmt"
	"time"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/reviewertoken"
	"vault-plugin-auth-kubernetes/internal/scrub"
	"vault-plugin-auth-kubernetes/internal/shell"
)

// renewsItself tells whether the mount makes the reviewer's tokens.
func (c *checker) renewsItself() bool { return c.cluster.Config.MakesReviewerTokens() }

// ownToken is the one that the mount made last; nil if there is none.
func (c *checker) ownToken() *reviewertoken.Entry {
	own := c.mount.Cluster.Own()
	if !own.Serves(c.cluster.Config.WantedReviewer()) {
		return nil
	}
	return own
}

// newFirstToken makes a token by which the mount asks for the next.
func (c *checker) newFirstToken() string {
	namespace, name := c.cluster.Config.SplitReviewerAccount()
	return "kubectl create token " + name + " -n " + namespace + " > reviewer.jwt && " + c.patch("token_reviewer_jwt=@reviewer.jwt")
}

// rotate is the command that has the token replaced now.
func (c *checker) rotate() string {
	return "vault write -f " + shell.Word(c.mount.Path+"/config/rotate-reviewer")
}

// ownReviewerToken looks at whether the token that the mount made is replaced in time.
func (c *checker) ownReviewerToken() finding {
	account, now := c.cluster.Config.ReviewerAccount, c.mount.Now()
	known, own := c.mount.Cluster.Own(), c.ownToken()
	why := ""
	if known != nil && known.Account == account {
		why = known.Failure
	}
	switch {
	case own == nil && why != "":
		return warned(shell.Commented(c.rotate(), "once what it says is mended"),
			"the first token, of token_reviewer_jwt, could not be replaced by one of %s: %s", account, why)
	case own == nil:
		return warned(c.rotate(), "the first token, of token_reviewer_jwt, was not replaced yet by one of %s", account)
	}
	at := own.Ends().UTC().Format(time.RFC3339)
	switch {
	case own.Left(now) == 0 && why != "":
		return failed(c.newFirstToken(), "the token of %s ended at %s, and could not be replaced: %s", account, at, why)
	case own.Left(now) == 0:
		return failed(c.newFirstToken(), "the token of %s ended at %s: nothing replaced it, such as where Vault was sealed", account, at)
	case own.Troubled(now):
		return warned(shell.Commented(c.rotate(), "once what it says is mended; it is tried again by itself until then"),
			"the token of %s ends in %s, at %s, and could not be replaced: %s", account, own.Left(now).Round(time.Second), at, why)
	}
	return passed("the token of %s ends at %s, and is replaced at %s%s", account, at, own.RenewAt().UTC().Format(time.RFC3339), c.otherLife(own))
}

// otherLife says that the token is good for another time than was asked for; "" if it is not.
// An API server may have a bound of its own.
func (c *checker) otherLife(own *reviewertoken.Entry) string {
	wanted := c.cluster.Config.WantedReviewer().Life
	if off := own.Life - wanted; off > -time.Minute && off < time.Minute {
		return ""
	}
	return fmt.Sprintf("; it is good for %s in all, and token_reviewer_ttl asks for %s: the API server has it so, or the setting is newer than the token",
		own.Life.Round(time.Second), wanted)
}

// mayRenew is the permission to make the next token.
func (c *checker) mayRenew() permission {
	namespace, name := c.cluster.Config.SplitReviewerAccount()
	p := permission{
		check:  checkMayRenew,
		access: kube.Access{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: namespace, Name: name},
	}
	if c.renewsItself() {
		p.by = []string{"token_reviewer_service_account"}
		p.grant = "kubectl create role vault-reviewer-token -n " + namespace + " --verb=create --resource=serviceaccounts/token --resource-name=" + name +
			"; kubectl create rolebinding vault-reviewer-token -n " + namespace + " --role=vault-reviewer-token " + anySubject
	}
	return p
}

// mayNotRenew is about a reviewer that may not make the next token: it may be another one than
// the configuration names.
func (c *checker) mayNotRenew(p permission, what string) finding {
	c.mu.Lock()
	who := c.account
	c.mu.Unlock()
	by := scrub.Few(p.by)
	if who == "" || who == c.cluster.Config.ReviewerAccount {
		return failed(p.grant, "the reviewer may not %s, so its token is not replaced; needed by %s", what, by)
	}
	return failed(shell.Commented(c.patch("token_reviewer_service_account="+who), "if that is the one that was meant; if not: %s", p.grant),
		"the reviewer, which is %s, may not %s, so its token is not replaced; needed by %s", who, what, by)
}
