package main

import (
	"context"
	"slices"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/access"
	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/scrub"
)

const (
	accessHelpSynopsis    = "Says who can be given a policy, or what a service account could use."
	accessHelpDescription = `
access/policy/NAME lists the roles and binding rules that can give the policy, and whom
each is for. access/service-account/NAMESPACE/NAME lists those that the service account
could use, and what each gives. What is not known without a login, such as labels, pods
and audiences, is told as a condition; explain judges it.

Policies that Vault itself attaches to entities and groups are not among them: see
identity/group and identity/entity.

A page has limit entries and looks at no more than 1,000 roles; next is what to send as
after to get the following one, and is not there on the last.
`

	maxAccessEntries = 1000 // of a page
	maxAccessRoles   = 1000 // that are read for a page
	maxAccessBytes   = 1 << 10
)

func (b *backend) pathsAccess() []*framework.Path {
	paged := func(fields map[string]*framework.FieldSchema) map[string]*framework.FieldSchema {
		fields["after"] = &framework.FieldSchema{Type: framework.TypeString, Query: true, Description: "next of the page before."}
		fields["limit"] = &framework.FieldSchema{Type: framework.TypeInt, Query: true, Default: 100, Description: "Entries of a page, 1 to 1000."}
		return fields
	}
	path := func(pattern, suffix string, fields map[string]*framework.FieldSchema, ask func(*framework.FieldData) (access.Question, error)) *framework.Path {
		return &framework.Path{
			Pattern: pattern,
			Fields:  paged(fields),
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{Callback: func(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
					return b.accessRead(ctx, req, data, ask)
				}},
			},
			DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "list", OperationSuffix: suffix},
			HelpSynopsis:    accessHelpSynopsis,
			HelpDescription: accessHelpDescription,
		}
	}
	return []*framework.Path{
		path("access/policy/(?P<policy>.+)", "access-of-policy", map[string]*framework.FieldSchema{
			"policy": {Type: framework.TypeLowerCaseString, Description: "Name of the policy."},
		}, func(data *framework.FieldData) (access.Question, error) {
			return access.Policy(data.Get("policy").(string)), nil
		}),
		path("access/service-account/(?P<namespace>[^/]+)/(?P<name>[^/]+)$", "access-of-service-account", map[string]*framework.FieldSchema{
			"namespace": {Type: framework.TypeString, Description: "Namespace of the service account."},
			"name":      {Type: framework.TypeString, Description: "Name of the service account."},
		}, func(data *framework.FieldData) (access.Question, error) {
			who, err := identity.Suppose(data.Get("namespace").(string), data.Get("name").(string), identity.Object{}, identity.Object{})
			return access.Account{Who: who}, err
		}),
	}
}

// accessRead makes one page: roles in the order of their names, then rules.
func (b *backend) accessRead(ctx context.Context, req *logical.Request, data *framework.FieldData, ask func(*framework.FieldData) (access.Question, error)) (*logical.Response, error) {
	question, err := ask(data)
	if err != nil {
		return logical.ErrorResponse("the service account %s", err), nil
	}
	limit := data.Get("limit").(int)
	if limit < 1 || limit > maxAccessEntries {
		return logical.ErrorResponse("limit: 1 to %d", maxAccessEntries), nil
	}
	mount := b.at(req.Storage)
	ruleRole := ""
	if c, err := mount.Cluster(ctx); err == nil && c != nil {
		ruleRole = role.Key(c.Config.BindingRuleRole)
	}
	page := &accessPage{limit: limit, after: data.Get("after").(string), found: map[string]any{}}
	if err := b.accessOfRoles(ctx, req.Storage, page, question, ruleRole); err != nil {
		return nil, err
	}
	set, err := mount.Rules(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.accessOfRules(ctx, req.Storage, page, question, set); err != nil {
		return nil, err
	}
	return page.response()
}

func (b *backend) accessOfRoles(ctx context.Context, s logical.Storage, page *accessPage, question access.Question, ruleRole string) error {
	names, err := s.List(ctx, role.Prefix)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if !page.wants("role/" + name) {
			continue
		}
		r, err := b.accessRole(ctx, s, page, name)
		if err != nil {
			return err
		}
		if r != nil {
			page.add("role/"+name, question.OfRole(name, r, name == ruleRole))
		}
	}
	return nil
}

func (b *backend) accessOfRules(ctx context.Context, s logical.Storage, page *accessPage, question access.Question, set *binding.RuleSet) error {
	for _, name := range set.Names() {
		key := "binding-rule/" + name
		// Rules come after roles, whatever the letters.
		if !page.wants("~" + key) {
			continue
		}
		rule, found := set.Get(name)
		if !found {
			continue
		}
		line, err := question.OfRule(rule, func(name string) (*role.Role, error) { return b.accessRole(ctx, s, page, name) })
		if err != nil {
			return err
		}
		page.add(key, line)
	}
	return nil
}

// accessRole reads a role past the cache, which is for roles that logins use; nil if there
// is none, or it is damaged: no login can use it then, and check says so.
func (b *backend) accessRole(ctx context.Context, s logical.Storage, page *accessPage, name string) (*role.Role, error) {
	page.reads++
	r, err := b.loadRole(ctx, s, role.Key(name), nil)
	if err != nil {
		if _, ofStorage := s.Get(ctx, role.StorageKey(name)); ofStorage == nil {
			return nil, nil
		}
	}
	return r, err
}

// accessPage is a page that is being filled.
type accessPage struct {
	limit int
	after string
	found map[string]any
	reads int // of roles
	// last is what was looked at last, and full tells that there is more.
	last string
	full bool
}

// wants tells whether what has the key belongs to this page.
func (p *accessPage) wants(key string) bool {
	if key <= p.after || p.full {
		return false
	}
	if len(p.found) >= p.limit || p.reads >= maxAccessRoles {
		p.full = true
		return false
	}
	p.last = key
	return true
}

func (p *accessPage) add(key, line string) {
	if line != "" {
		p.found[key] = scrub.Bounded(line, maxAccessBytes)
	}
}

func (p *accessPage) response() (*logical.Response, error) {
	if p.full {
		p.found["next"] = p.last
	}
	response := &logical.Response{Data: p.found}
	if len(p.found) == 0 {
		response.AddWarning("no role and no binding rule of this mount")
	}
	return response, nil
}
