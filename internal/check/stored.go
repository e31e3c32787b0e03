package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/scrub"
	"vault-plugin-auth-kubernetes/internal/shell"
)

// MaxRoles bounds the roles that one check looks at; each is a read of the
// host's storage.
const MaxRoles = 1000

// parallelRoleReads is how many of them are read at a time.
const parallelRoleReads = 16

// needs are the reasons why the reviewer needs permissions beyond TokenReview, each a
// few words that name a setting, a role or a rule.
type needs struct {
	accounts   []string
	namespaces []string
	// renewals tells whether renewals look at service accounts, and pods whether at pods as
	// well. They go on without, and the log has a warning.
	renewals, pods bool
	// roles is how many there are, if that is more than were looked at; or 0.
	roles int
}

// checkConfiguration sets the connection, if there can be one.
func (c *checker) checkConfiguration(ctx context.Context) error {
	entry, err := c.mount.Storage.Get(ctx, config.Path)
	if err != nil {
		return err
	}
	write := "vault write " + shell.Word(c.mount.Path+"/"+config.Path) +
		" kubernetes_host=https://HOST:6443 kubernetes_ca_cert=@ca.crt token_reviewer_jwt=@reviewer.jwt disable_local_ca_jwt=true"
	if entry == nil {
		c.note(checkConfiguration, failed(write, "the mount has no configuration"))
		return nil
	}
	now, err := c.mount.Cluster.Get(ctx, c.mount.Storage)
	if err != nil || now == nil {
		remedy := write
		var r *refusal.Refusal
		if errors.As(err, &r) && r.Remedy != "" {
			remedy = shell.Commented(write, "%s", r.Remedy)
		}
		c.note(checkConfiguration, failed(remedy, "it is stored and cannot be used: %v", err))
		return nil
	}
	c.cluster = now
	c.credential = c.mount.Cluster.Credential(now.Config)()
	return nil
}

// checkStored looks at roles and rules: whether they can be read, and what they need.
func (c *checker) checkStored(ctx context.Context) error {
	problems, err := c.readRoles(ctx)
	if err != nil {
		return err
	}
	set, err := c.mount.Rules.Get(ctx, c.mount.Storage)
	if err != nil {
		return err
	}
	for _, broken := range set.Broken() {
		problems = append(problems, fmt.Sprintf("binding rule %q cannot be used: %v", broken.Name, broken.Err))
	}
	c.note(checkRules, c.rulesFinding(set))
	for _, name := range set.Mentioning(binding.ServiceAccount) {
		c.needs.accounts = append(c.needs.accounts, fmt.Sprintf("binding rule %q", name))
	}
	for _, name := range set.Mentioning(binding.Namespace) {
		c.needs.namespaces = append(c.needs.namespaces, fmt.Sprintf("binding rule %q", name))
	}
	settings := c.cluster.Config
	if settings.BindingRuleRole != "" {
		r, err := c.mount.LoadRole(ctx, role.Key(settings.BindingRuleRole))
		c.ruleRole = r
		if problem := settings.RuleRoleProblem(r); err == nil && problem != "" {
			problems = append(problems, problem)
		}
	}
	if set.Len() > 0 && settings.Verification == config.VerifyKeys && len(settings.BindingRuleAudiences) == 0 && (c.ruleRole == nil || len(c.ruleRole.Audiences()) == 0) {
		problems = append(problems, "binding_rule_audiences is empty, so a login by the binding rules alone is refused: verification=keys does not know the API server's own audience, so set those that tokens are for")
	}
	c.note(checkPosture, c.postureFinding(set.Len() > 0))
	problems = append(problems, c.pathParts()...)
	if settings.UseAnnotationsAsAliasMetadata {
		c.needs.accounts = append(c.needs.accounts, "use_annotations_as_alias_metadata")
	}
	for _, name := range set.DependingOnAnnotation() {
		rule := fmt.Sprintf("binding rule %q (use_service_name_annotation)", name)
		if settings.ServiceNameAnnotation == "" {
			problems = append(problems, rule+": service_name_annotation of the configuration names no annotation")
			continue
		}
		c.needs.accounts = append(c.needs.accounts, rule)
	}
	c.needs.renewals = settings.RenewalCheck != config.RenewalCheckNone
	c.needs.pods = settings.RenewalCheck == config.RenewalCheckPod
	if len(problems) > 0 {
		c.note(checkConfiguration, warned(shell.Commented("vault list "+shell.Word(c.mount.Path+"/role"), "and write those anew that are named"), "%s", scrub.Few(problems)))
		return nil
	}
	c.note(checkConfiguration, passed("it can be used; CA certificates: %s; reviewer: %s", c.caSource(), c.credentialSource()))
	return nil
}

// caSource says whose certificates may have signed the API server's.
func (c *checker) caSource() string {
	switch {
	case c.cluster.PodCA != "":
		return "those of Vault's own pod"
	case c.cluster.Config.CACert != "":
		return "kubernetes_ca_cert"
	}
	return "those of the system that Vault runs on"
}

// credentialSource says where the reviewer's token comes from.
func (c *checker) credentialSource() string {
	switch {
	case c.byCertificate():
		return "kubernetes_client_cert"
	case c.renewsItself() && c.ownToken() != nil:
		return "a token of " + c.cluster.Config.ReviewerAccount + " that this mount made"
	case c.credential == "":
		return "none, each login reviews itself"
	case c.staticReviewer():
		return "token_reviewer_jwt"
	}
	return "the token of Vault's own pod"
}

// staticReviewer tells whether the credential is one that nobody renews.
func (c *checker) staticReviewer() bool { return c.cluster.Config.HasReviewer() }

// readRoles notes what roles need, and returns what is wrong with any.
func (c *checker) readRoles(ctx context.Context) (problems []string, err error) {
	names, err := c.mount.Storage.List(ctx, role.Prefix)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	if len(names) > MaxRoles {
		c.needs.roles = len(names)
		names = names[:MaxRoles]
	}
	roles, damaged := make([]*role.Role, len(names)), make([]error, len(names))
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelRoleReads)
	for i, name := range names {
		group.Go(func() error {
			r, err := c.mount.LoadRole(ctx, name)
			if err != nil {
				if _, ofStorage := c.mount.Storage.Get(ctx, role.StorageKey(name)); ofStorage != nil {
					return ofStorage
				}
			}
			mu.Lock()
			defer mu.Unlock()
			roles[i], damaged[i] = r, err
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, name := range names {
		if damaged[i] != nil {
			problems = append(problems, damaged[i].Error())
		} else if problem := c.examineRole(name, roles[i]); problem != "" {
			problems = append(problems, fmt.Sprintf("role %q: %s", name, problem))
		}
	}
	return problems, nil
}

// examineRole notes what a role needs, and says why no login can use it, if so.
func (c *checker) examineRole(name string, r *role.Role) (problem string) {
	switch {
	case r == nil: // deleted meanwhile
		return ""
	case r.Unusable != nil:
		return "its selector cannot be read: " + r.Unusable.Error()
	case c.cluster.Config.RequireAudience && r.LacksAudience() && !r.UseBindingRules:
		return "it has no audience, and the configuration has require_audience set"
	case c.cluster.Config.NeedsAudience() && r.LacksAudience() && !r.UseBindingRules:
		return "it has no audience, and verification is keys"
	}
	if policy := r.ReservedPolicy(); policy != "" {
		problem = "it " + role.PolicyRefused(policy)
	} else if named := c.cluster.Config.NamedRoleProblem(r.Entry); named != "" {
		problem = named
	}
	c.examinePosture(name, r)
	var sources binding.Sources
	if r.Selector != nil {
		sources = r.Selector.Sources()
	}
	if sources.Has(binding.ServiceAccount) {
		c.needs.accounts = append(c.needs.accounts, fmt.Sprintf("role %q", name))
	}
	if sources.Has(binding.Namespace) || r.NamespaceSelector != nil {
		c.needs.namespaces = append(c.needs.namespaces, fmt.Sprintf("role %q", name))
	}
	if r.ServiceAccountNamespaceSelector != "" && r.NamespaceSelector == nil {
		return "its namespace selector cannot be parsed and matches nothing"
	}
	return problem
}
