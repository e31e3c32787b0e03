package explain

import (
	"fmt"
	"slices"
	"strings"

	"vault-plugin-auth-kubernetes/internal/config"
)

// note is what else the reader has to know about the verdict.
func (a *Answer) note() string {
	var notes []string
	if slices.Contains(a.Empty, "role") {
		notes = append(notes, "role was named and is empty, so this explains a login by rules, as login takes it; name the role if one was meant")
	}
	if slices.Contains(a.Empty, "remote_addr") {
		notes = append(notes, "remote_addr was named and is empty, so no source address was judged")
	}
	if a.Outcome != nil && a.Outcome.SecondUnused {
		notes = append(notes, "reviewer_jwt was sent and has no say here: "+a.whySecondUnused())
	}
	if a.Account.leavesAddressesOpen() {
		notes = append(notes, "source addresses were not judged; a login may still be refused for its own, give remote_addr")
	}
	if a.Outcome != nil && a.Outcome.Cluster != nil && a.Outcome.Cluster.Config.TokenReviewCacheTTL > 0 {
		notes = append(notes, fmt.Sprintf("the API server was asked anew; a login may go by an answer up to %s old (token_review_cache_ttl)",
			a.Outcome.Cluster.Config.TokenReviewCacheTTL))
	}
	if a.Outcome != nil && a.Outcome.Granted != nil && len(a.Outcome.Granted.Services) > 1 {
		notes = append(notes, "it is granted several services, which stand in one value of the metadata; a templated policy on consul_service is for none of them")
	}
	if a.Outcome != nil && a.Outcome.Granted != nil && len(a.Outcome.Granted.Nodes) > 1 {
		notes = append(notes, "it is granted several nodes, which stand in one value of the metadata; a templated policy on consul_node is for none of them")
	}
	return strings.Join(notes, "; ")
}

func (a *Answer) whySecondUnused() string {
	if a.Outcome.Cluster.Config.Verification == config.VerifyKeys {
		return "with verification=keys nobody is asked"
	}
	return "the mount has a reviewer, and prefer_login_reviewer_jwt is not set"
}
