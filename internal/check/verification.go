package check

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"vault-plugin-auth-kubernetes/internal/cluster"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/shell"
)

// checkVerification asks for what a way to verify tokens needs, and says what a deletion in
// the cluster means to tokens under it.
func (c *checker) checkVerification(ctx context.Context) {
	c.note(checkVerification, c.verification(ctx))
}

func (c *checker) verification(ctx context.Context) finding {
	settings, source := c.cluster.Config, c.cluster.Source
	if source == nil {
		return skipped("verification is %s: the API server is asked about each token", config.VerifyReview)
	}
	published := c.cluster.Keys
	if published.Empty() {
		var err error
		if published, err = cluster.FetchKeys(ctx, source.KeySet, ""); err != nil {
			return c.unreadKeys(err)
		}
	}
	if settings.Verification == config.VerifyKeysThenReview {
		return passed("verification is %s: the API server is asked about each token that one of the cluster's keys signed; there is %s",
			settings.Verification, countKeys(published.Len()))
	}
	if source.Issuer(ctx) == "" {
		return failed(c.patch("issuer=ISSUER"), "verification is %s, and the cluster does not tell the issuer that tokens must have", settings.Verification)
	}
	if settings.Verification == config.VerifyLive {
		return c.live(ctx)
	}
	atMost := "however long that is after its issue"
	if longest := settings.LongestLifetime(); longest > 0 {
		atMost = fmt.Sprintf("%s after its issue at most", longest)
	}
	return passed("verification is keys: a token is good until it expires, %s, whatever is deleted in the cluster; "+
		"keys are used for %s while they cannot be read anew", atMost, cluster.KeptFor)
}

// unreadKeys is about keys that cannot be had.
func (c *checker) unreadKeys(err error) finding {
	way := c.cluster.Config.Verification
	failure, remedy := failureOf(err)
	const elsewhere = "or say where they are published: jwks_url, oidc_discovery_url"
	switch own := c.cluster.Config.JWKSURL == "" && c.cluster.Config.OIDCDiscoveryURL == ""; {
	case !own:
		at := cmp.Or(c.cluster.Config.JWKSURL, c.cluster.Config.OIDCDiscoveryURL)
		return failed(shell.Commented(remedy, "or take those of the API server: %s", c.patch("jwks_url=", "oidc_discovery_url=")),
			"verification is %s, and the cluster's keys cannot be read from %s: %v", way, at, err)
	case !c.hasReviewer() && refused(failure) && way == config.VerifyKeys:
		return failed(shell.Commented(c.patch("token_reviewer_jwt=@reviewer.jwt"), "%s", elsewhere),
			"verification is keys, and there is no reviewer to read the cluster's keys; the token of a login may read them only if it is for the API server too, so others are let in or not by who came before them")
	case !c.hasReviewer() && refused(failure) && way != config.VerifyLive:
		return skipped("verification is %s, and there is no reviewer to read the cluster's keys; each login token reads them itself", way)
	case failure == kube.Unauthorized:
		return skipped("%s", rejectedReviewer)
	case failure == kube.Forbidden:
		return failed(shell.Commented(readDiscovery, "%s", elsewhere), "verification is %s, and the reviewer may not read the cluster's keys at /openid/v1/jwks", way)
	}
	return failed(shell.Commented(remedy, "%s", elsewhere), "verification is %s, and the cluster's keys cannot be read: %v", way, err)
}

const watchRole = "kubectl create clusterrole vault-live --verb=list,watch --resource=pods,serviceaccounts; " +
	"kubectl create clusterrolebinding vault-live-" + anySuffix + " --clusterrole=vault-live " + anySubject

func (c *checker) live(ctx context.Context) finding {
	if !c.hasReviewer() {
		return failed("set token_reviewer_jwt", "verification is live, and there is no reviewer who could watch: the API server is asked about each token")
	}
	var missing []string
	for _, kind := range []kube.Kind{kube.Pods, kube.ServiceAccounts} {
		for _, verb := range []string{"list", "watch"} {
			allowed, err := c.cluster.Client.Allowed(ctx, kube.Access{Verb: verb, Resource: string(kind)})
			if err != nil {
				return skipped("verification is live, and whether the reviewer may watch cannot be found out: %v", err)
			}
			if !allowed {
				missing = append(missing, fmt.Sprintf("%s %s", verb, kind))
			}
		}
	}
	if len(missing) > 0 {
		return failed(watchRole, "verification is live, and the reviewer may not %s: the API server is asked about each token", strings.Join(missing, ", "))
	}
	switch state := c.cluster.Live.State(); {
	case !state.Following:
		return passed("verification is live; the next login begins to follow the cluster")
	case !state.Known:
		return warned("look at the log for why the cluster cannot be followed", "verification is live, and not all is known yet: the API server is asked about each token")
	default:
		return passed("verification is live; %d service accounts and %d pods are known, as of %s ago; from %s on the API server is asked about each token",
			state.ServiceAccounts, state.Pods, state.Age.Round(100_000_000), c.cluster.Config.Staleness())
	}
}
