package check

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"vault-plugin-auth-kubernetes/internal/cluster"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/shell"
	"vault-plugin-auth-kubernetes/internal/token"
)

// readDiscovery lets a reviewer read the cluster's keys and issuer. Service accounts
// may by default.
const readDiscovery = "kubectl create clusterrolebinding vault-issuer-discovery-" + anySuffix + " --clusterrole=system:service-account-issuer-discovery " + anySubject

// checkKeys compares what the cluster signs with and the keys of the configuration.
func (c *checker) checkKeys(ctx context.Context) {
	if c.cluster.Keys.Empty() {
		c.note(checkPEMKeys, skipped("pem_keys is not set"))
		return
	}
	published, err := cluster.FetchKeys(ctx, c.cluster.Client.SigningKeys, "")
	c.note(checkPEMKeys, c.pemKeys(published, err))
}

func (c *checker) pemKeys(published token.Keys, err error) finding {
	configured := c.cluster.Keys
	if err != nil {
		return skipped("the cluster's keys, to compare them with, cannot be read: %v", err)
	}
	remedy := shell.Commented(c.patch("pem_keys=", "verification="+config.VerifyKeysThenReview), "or set the current ones: %s", c.patch("pem_keys=@sa.pub"))
	known, signing := configured.In(published), published.In(configured)
	switch {
	case known == 0:
		return failed(remedy, "pem_keys (%s) has none of the keys that the cluster publishes (%s), so every token is refused",
			countKeys(configured.Len()), countKeys(published.Len()))
	case signing < published.Len():
		return warned(remedy, "%d of the %s that the cluster publishes are not in pem_keys; tokens that they sign are refused",
			published.Len()-signing, countKeys(published.Len()))
	}
	return passed("pem_keys has what the cluster publishes, %s", countKeys(published.Len()))
}

// checkIssuer compares the cluster's issuer with the one that tokens must have.
func (c *checker) checkIssuer(ctx context.Context) {
	issuer, err := c.cluster.Client.Issuer(ctx)
	c.note(checkIssuer, c.issuer(issuer, err))
}

func (c *checker) issuer(issuer string, err error) finding {
	issuers := c.cluster.Issuers
	enforced := issuersIn(issuers)
	failure, _ := failureOf(err)
	local := c.cluster.Config.VerifiesLocally()
	switch {
	case len(issuers) == 0 && !local && c.cluster.Config.LeavesIssuerOpen():
		return c.issuerLeftOpen(issuer)
	case failure == kube.Unauthorized && c.hasReviewer():
		return skipped("%s", rejectedReviewer)
	case local:
		return c.issuerOfKeys(issuer, err)
	case err != nil && len(issuers) == 0:
		return skipped("it is not enforced, and the cluster does not tell it: %v", err)
	case err != nil:
		remedy := readDiscovery
		if !refused(failure) || !c.hasReviewer() {
			remedy = shell.Commented("kubectl get --raw /.well-known/openid-configuration", "and compare")
		}
		return warned(remedy, "tokens must have the issuer %s, and the cluster does not tell its own: %v", enforced, err)
	case len(issuers) == 0:
		return passed("the cluster's is %q; it is left to the API server to check it", issuer)
	case slices.Contains(issuers, issuer) && len(issuers) > 1:
		return passed("the cluster's is %q, one of those that the configuration asks for: %s", issuer, enforced)
	case slices.Contains(issuers, issuer):
		return passed("the cluster's is %q, as the configuration asks", issuer)
	}
	remedy := shell.Commented(c.patch("issuer="+c.issuerWord(issuer)), "or leave it to the API server: %s", c.patch("disable_iss_validation=true"))
	if slices.Equal(issuers, []string{config.DefaultIssuer}) {
		return warned(remedy, "tokens must have the issuer %s, which only those from secrets have; the cluster's is %q", enforced, issuer)
	}
	return failed(remedy, "tokens must have the issuer %s, and the cluster's is %q", enforced, issuer)
}

// issuerOfKeys is about a configuration by which tokens are verified here: they must have
// the issuer that it names, whatever disable_iss_validation says, or else the cluster's.
func (c *checker) issuerOfKeys(issuer string, err error) finding {
	settings := c.cluster.Config
	wanted := cmp.Or(settings.Issuer, settings.OIDCDiscoveryURL)
	switch {
	case settings.TakesAnyIssuer() && err != nil:
		return skipped("verification_accept takes tokens of any issuer, and the cluster does not tell its own: %v", err)
	case settings.TakesAnyIssuer():
		return passed("verification_accept takes tokens of any issuer; the cluster's is %q", issuer)
	case err != nil && wanted == "":
		return skipped("tokens must have the cluster's, and it does not tell it: %v", err)
	case err != nil:
		return warned(shell.Commented("kubectl get --raw /.well-known/openid-configuration", "and compare"),
			"tokens must have the issuer %q, and the cluster does not tell its own: %v", wanted, err)
	case wanted == "":
		return passed("the cluster's is %q, which tokens must have", issuer)
	case wanted == issuer:
		return passed("the cluster's is %q, as the configuration asks", issuer)
	case settings.Verification == config.VerifyLive:
		return warned(c.patch("issuer="+c.issuerWord(issuer)), "the configuration asks for the issuer %q, and the cluster's is %q: the API server is asked about each token", wanted, issuer)
	}
	return failed(c.patch("issuer="+c.issuerWord(issuer)), "tokens must have the issuer %q, and the cluster's is %q: no login by keys is let in", wanted, issuer)
}

// issuersIn is how issuers that are asked for stand in a finding.
func issuersIn(issuers []string) string {
	quoted := make([]string, len(issuers))
	for i, issuer := range issuers {
		quoted[i] = strconv.Quote(issuer)
	}
	return strings.Join(quoted, " or ")
}

// issuerLeftOpen is about a configuration that Vault's own method left.
func (c *checker) issuerLeftOpen(issuer string) finding {
	remedy := c.patch("disable_iss_validation=true")
	if issuer != "" {
		remedy = shell.Commented(remedy, "or have it checked: %s", c.patch("issuer="+c.issuerWord(issuer)))
	}
	return warned(remedy, "disable_iss_validation is false and no issuer is named: Vault's own method then checks none, and where that was taken over, or came by an empty value, neither does this plugin")
}

// issuerWord is the issuer in a command, if it was the API server that told it.
func (c *checker) issuerWord(issuer string) string {
	if !c.vouchedFor() {
		return "ISSUER"
	}
	return shell.Word(issuer)
}

// refused tells whether the API server answered and did not let the caller in.
func refused(failure kube.Failure) bool {
	return failure == kube.Unauthorized || failure == kube.Forbidden
}

func countKeys(n int) string {
	if n == 1 {
		return "1 key"
	}
	return fmt.Sprintf("%d keys", n)
}
