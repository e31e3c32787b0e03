package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/shell"
	"vault-plugin-auth-kubernetes/internal/token"
)

// reviewerWarning is how long before its end a reviewer's token that nobody renews is
// worth a warning.
const reviewerWarning = 24 * time.Hour

// anonymousUser is who the API server takes a request without a credential for.
const anonymousUser = "system:anonymous"

// rejectedReviewer is why a check that needs the reviewer is left out.
const rejectedReviewer = "the API server rejects the reviewer's credential"

// newReviewerToken makes a token for the reviewer and uses it.
func (c *checker) newReviewerToken() string {
	if c.renewsItself() {
		return c.newFirstToken()
	}
	return "kubectl create token " + anyAccount + " --duration=8760h > reviewer.jwt && " + c.patch("token_reviewer_jwt=@reviewer.jwt")
}

// checkReviewer asks who the reviewer is, and what it may do.
func (c *checker) checkReviewer(ctx context.Context) {
	f, blocked := c.reviewer(ctx)
	c.note(checkReviewer, f)
	if blocked == "" {
		c.checkPermissions(ctx)
		return
	}
	for _, p := range c.permissions() {
		c.note(p.check, skipped("%s", blocked))
	}
}

// reviewer asks who the reviewer is. blocked is why there is no use in asking for its
// permissions; empty if there is.
func (c *checker) reviewer(ctx context.Context) (f finding, blocked string) {
	if !c.hasReviewer() && c.cluster.Config.ReviewerDropped {
		return failed(shell.Commented(c.patch("token_reviewer_jwt=@reviewer.jwt"), "or, if each login is to review itself: %s", c.patch("token_reviewer_jwt=")),
				"a write of the configuration did not name token_reviewer_jwt, and so took the reviewer's token away; each login now reviews itself, "+
					"and is refused unless its service account has the ClusterRole system:auth-delegator, and its token the API server's own audience"),
			"there is no reviewer; the permissions that count are those of each service account that logs in"
	}
	if !c.hasReviewer() && c.cluster.Config.Verification == config.VerifyKeys {
		return warned(c.patch("token_reviewer_jwt=@reviewer.jwt"), "none is configured; with verification=keys no login is reviewed, and what else the API server is asked for is asked with the token of the login"),
			"there is no reviewer; the permissions that count are those of each service account that logs in"
	}
	if !c.hasReviewer() {
		return warned(shell.Commented(c.patch("token_reviewer_jwt=@reviewer.jwt"), "unless each login is to review itself"),
				"none is configured, each login reviews itself: it is refused unless its service account has "+
					"the ClusterRole system:auth-delegator, and its token, or the reviewer_jwt beside it, the API server's own audience"),
			"there is no reviewer; the permissions that count are those of each service account that logs in"
	}
	const unknown = "the API server did not say who the reviewer is"
	user, err := c.cluster.Client.WhoAmI(ctx)
	failure, remedy := failureOf(err)
	switch {
	case err == nil && user.Username == anonymousUser, credentialLost(err):
		return c.unseen(), "the API server does not know the reviewer"
	case err == nil:
		if c.vouchedFor() {
			c.nameSubject(user.Username)
		}
		return passed("the API server knows it as %s", user.Username), ""
	case failure == kube.Unauthorized && c.byCertificate():
		return c.rejectedCertificate(), rejectedReviewer
	case failure == kube.Unauthorized:
		return c.rejected(), rejectedReviewer
	case failure == kube.Forbidden && c.hostPath() != "":
		reason := fmt.Sprintf("the API server does not take the path %q of kubernetes_host", c.hostPath())
		return skipped("%s", reason), reason
	case failure == kube.NotFound && c.version().err != nil:
		return failed(remedy, "%v; this may be no Kubernetes API", err), unknown
	case failure == kube.Forbidden, failure == kube.NotFound:
		return passed("the API server accepts its credential, and does not tell who it is (it answers %q to a SelfSubjectReview)", failure), ""
	}
	return failed(remedy, "%v", err), unknown
}

// credentialLost tells whether the API server refused what it took for a request of nobody.
func credentialLost(err error) bool {
	var failed *kube.Error
	return errors.As(err, &failed) && failed.CredentialLost()
}

// unseen is about a credential that is sent, and that the API server does not get to see.
func (c *checker) unseen() finding {
	if c.byCertificate() {
		return failed("let whatever stands between Vault and the API server pass the connection on as it is, without ending TLS",
			"the API server does not get to see the client certificate, although one is sent")
	}
	return failed("let whatever stands between Vault and the API server pass the Authorization header on",
		"the API server sees no credential, although one is sent")
}

// nameSubject puts the reviewer into the remedies, if its name is one.
func (c *checker) nameSubject(username string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.named = []string{anyUser, "--as=" + shell.Word(username)}
	account, ok := strings.CutPrefix(username, "system:serviceaccount:")
	if !ok {
		c.named = append(c.named, anySubject, "--user="+shell.Word(username), anySuffix, "reviewer")
		return
	}
	namespace, name, _ := strings.Cut(account, ":")
	if len(validation.IsDNS1123Label(namespace)) == 0 && len(validation.IsDNS1123Subdomain(name)) == 0 {
		c.named = append(c.named, anySubject, "--serviceaccount="+namespace+":"+name,
			anySuffix, namespace+"-"+name, anyAccount, name+" -n "+namespace)
		c.account = namespace + "/" + name
	}
}

// rejected finds what a rejected credential says of itself that explains it. It is
// the operator's own; the claims are not secret.
func (c *checker) rejected() finding {
	remedy := c.newReviewerToken()
	if !c.staticReviewer() {
		remedy = shell.Commented(remedy, "where kubernetes_host is another cluster than the one that Vault's own pod is in")
	}
	const rejects = "the API server rejects the credential (401 Unauthorized)"
	t, err := token.Parse(c.credential)
	if err != nil {
		return failed(remedy, "%s: it is no service account token", rejects)
	}
	if expiry, ok := t.UnverifiedExpiry(); ok && c.mount.Now().After(expiry) {
		return failed(remedy, "%s: it expired at %s", rejects, expiry.UTC().Format(time.RFC3339))
	}
	return failed(remedy, "%s: it has not expired, so it is of another cluster, %s", rejects, strings.Join(c.suspicions(t), ", or "))
}

// suspicions are the other reasons for which an API server rejects a token that has not
// expired, those first that the token itself points at.
func (c *checker) suspicions(t *token.Unverified) []string {
	tied := t.UnverifiedTied()
	var likely, rest []string
	if now := c.mount.Now(); tied.From.After(now) {
		likely = append(likely, fmt.Sprintf("it is good from %s only: compare the clocks", tied.From.UTC().Format(time.RFC3339)))
	}
	for _, object := range tied.To {
		likely = append(likely, fmt.Sprintf("the %s that it is bound to is gone", object))
	}
	if enforced, issuer := c.cluster.Issuers, t.UnverifiedIssuer(); len(enforced) > 0 && !slices.Contains(enforced, issuer) {
		likely = append(likely, fmt.Sprintf("its issuer %q is not the %s of the configuration", issuer, issuersIn(enforced)))
	}
	account := "its service account"
	if tied.Account != "" {
		account = fmt.Sprintf("its service account %s/%s", tied.Namespace, tied.Account)
	}
	rest = append(rest, account+" was deleted or created anew",
		fmt.Sprintf("it is for another audience than the API server's own: it says %q", t.UnverifiedAudiences()),
		fmt.Sprintf("the cluster's signing keys or its issuer were changed: it says that its issuer is %q", t.UnverifiedIssuer()))
	return append(likely, rest...)
}

// reviewerToken looks at when the reviewer's credential ends, by its own words.
func (c *checker) reviewerToken() finding {
	if c.byCertificate() {
		return c.clientCertificate()
	}
	if c.renewsItself() {
		return c.ownReviewerToken()
	}
	if c.credential == "" {
		return skipped("none is configured")
	}
	t, err := token.Parse(c.credential)
	if err != nil {
		return skipped("%s is no service account token, so it cannot be told when it ends", c.credentialSource())
	}
	expiry, ok := t.UnverifiedExpiry()
	if tied := t.UnverifiedTied(); c.staticReviewer() && ok && len(tied.To) > 0 {
		return warned(c.newReviewerToken(), "%s is bound to the %s, and is void once that is gone, whatever its expiry says: it was made for somebody else",
			c.credentialSource(), strings.Join(tied.To, " and the "))
	}
	if !ok {
		return passed("%s does not expire: it is good for as long as its secret and its service account exist", c.credentialSource())
	}
	left := expiry.Sub(c.mount.Now()).Round(time.Second)
	at := expiry.UTC().Format(time.RFC3339)
	switch {
	case left <= 0 && c.staticReviewer():
		return failed(c.newReviewerToken(), "%s expired at %s", c.credentialSource(), at)
	case left <= 0:
		return failed("look at why the kubelet does not renew the token that is mounted into Vault's pod", "%s expired at %s", c.credentialSource(), at)
	case !c.staticReviewer():
		return passed("%s ends at %s, and is followed as Kubernetes renews it", c.credentialSource(), at)
	case left < reviewerWarning:
		return warned(c.newReviewerToken(), "%s expires in %s, at %s, and nobody renews it", c.credentialSource(), left, at)
	}
	return passed("%s expires at %s; nobody renews it", c.credentialSource(), at)
}
