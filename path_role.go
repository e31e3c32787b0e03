package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/tokenutil"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/posture"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/scrub"
)

const (
	roleListHelpSynopsis    = "Lists the roles of this mount."
	roleListHelpDescription = `
The names are in lower case, since roles are found whatever the case of their name.
`
	roleHelpSynopsis    = "Says which service accounts may log in under a role, and what they get."
	roleHelpDescription = `
A role binds service accounts, by name and by namespace, to policies and to the
settings of the tokens they get. A service account may use a role if its name is
listed, and its namespace is listed or has labels that the namespace selector
matches; or if both are one of the pairs in bound_service_accounts. Names and
namespaces may hold * as a wildcard. If there is a selector, it must hold as well.

max_token_lifetime, require_pod_bound_tokens and refuse_legacy_tokens say which tokens
count, whoever they belong to, besides what the configuration says of that.

With use_binding_rules a login that names the role goes by the binding rules, within the
bounds of the role: for clients that cannot log in without a role. With
only_by_binding_rules no login can name the role; binding rules give it. Either may leave
names and namespaces empty.

A write to a role that exists changes only the fields that it names. Where an empty
value takes a bound or a limit away, or a value is kept as another than was written,
as 500ms is, the answer says so; deleting a role that binding rules or the
configuration name is said as well.
`
)

func (b *backend) pathsRole() []*framework.Path {
	return []*framework.Path{
		{
			Pattern: "role/?",
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ListOperation: &framework.PathOperation{Callback: b.roleList},
			},
			DisplayAttrs: &framework.DisplayAttributes{
				OperationPrefix: operationPrefix,
				OperationSuffix: "auth-roles",
				Navigation:      true,
				ItemType:        "Role",
			},
			HelpSynopsis:    roleListHelpSynopsis,
			HelpDescription: roleListHelpDescription,
		},
		{
			Pattern:        "role/" + framework.GenericNameRegex("name"),
			Fields:         roleFields(),
			ExistenceCheck: b.roleExists,
			// As at the login, these cost no request back to the host. Where a node must not
			// write, its storage says so, and the host hands the request on.
			Callbacks: map[logical.Operation]framework.OperationFunc{
				logical.CreateOperation: b.roleWrite,
				logical.UpdateOperation: b.roleWrite,
				logical.ReadOperation:   b.roleRead,
				logical.DeleteOperation: b.roleDelete,
			},
			DisplayAttrs: &framework.DisplayAttributes{
				OperationPrefix: operationPrefix,
				OperationSuffix: "auth-role",
				ItemType:        "Role",
				Action:          "Create",
			},
			HelpSynopsis:    roleHelpSynopsis,
			HelpDescription: roleHelpDescription,
		},
	}
}

func roleFields() map[string]*framework.FieldSchema {
	fields := map[string]*framework.FieldSchema{
		"name": {
			Type:        framework.TypeString,
			Description: "Name of the role; upper and lower case are the same.",
		},
		"bound_service_account_names": {
			Type:        framework.TypeCommaStringSlice,
			Description: `Names of the service accounts that may use the role. May hold wildcards; "*" alone means all.`,
		},
		"bound_service_account_namespaces": {
			Type:        framework.TypeCommaStringSlice,
			Description: `Namespaces whose service accounts may use the role. May hold wildcards; "*" alone means all.`,
		},
		"bound_service_account_namespace_selector": {
			Type: framework.TypeString,
			Description: `Label selector, as a JSON or YAML object with matchLabels and matchExpressions, of
namespaces whose service accounts may use the role, in addition to those of
bound_service_account_namespaces. The reviewer then needs permission to get
namespaces.`,
		},
		"audience": {
			Type:        framework.TypeString,
			Description: "Audience that the token must be meant for.",
		},
		"bound_audiences": {
			Type:        framework.TypeCommaStringSlice,
			Description: "Audiences of which the token must be meant for one. In place of audience, which is a list of one.",
		},
		"bound_service_accounts": {
			Type: framework.TypeCommaStringSlice,
			Description: `Service accounts that may use the role, as pairs namespace/name, in addition to
those that the lists of names and namespaces allow. May hold wildcards.`,
		},
		"selector": {
			Type: framework.TypeString,
			Description: `Expression over the trusted attributes of the service account that must hold as
well, such as pod.name matches "^runner-" and namespace.labels.team == "ci".`,
		},
		"only_by_binding_rules": {
			Type: framework.TypeBool,
			Description: `Only binding rules give the role: a login that names it is refused. It may then
leave names and namespaces empty, and holds for whoever a rule gives it to.`,
		},
		"use_binding_rules": {
			Type: framework.TypeBool,
			Description: `Logins that name the role go by the binding rules, as those that name none do. They
have to be within the bounds of the role, which may leave names and namespaces empty;
its policies join what rules grant and are no grant by themselves; its token settings
and those of roles that rules bind count as the strictest of them.`,
		},
		"max_token_lifetime": {
			Type: framework.TypeDurationSecond,
			Description: `Refuse service account tokens that were issued for longer than this, or without an
end. What the configuration says counts as well. The token that each pod has by
default may live for a year. Whole seconds, 10m or more. Default 0, any.`,
		},
		"require_pod_bound_tokens": {
			Type: framework.TypeBool,
			Description: `Refuse service account tokens that are not bound to a pod, and so outlive it. What
the configuration says counts as well.`,
		},
		"refuse_legacy_tokens": {
			Type: framework.TypeBool,
			Description: `Refuse service account tokens that live in secrets, which do not end and have no
audience. What the configuration says counts as well.`,
		},
		"alias_name_source": {
			Type:    framework.TypeString,
			Default: role.AliasNameSourceUID,
			Description: fmt.Sprintf(`What the entity alias is named after: %q, unique to one service account
for all time and the default, or %q, namespace/name, which a service
account that is deleted and created again shares with its predecessor.`, role.AliasNameSourceUID, role.AliasNameSourceName),
		},
	}
	for old, kind := range map[string]framework.FieldType{
		"policies":    framework.TypeCommaStringSlice,
		"num_uses":    framework.TypeInt,
		"ttl":         framework.TypeDurationSecond,
		"max_ttl":     framework.TypeDurationSecond,
		"period":      framework.TypeDurationSecond,
		"bound_cidrs": framework.TypeCommaStringSlice,
	} {
		fields[old] = &framework.FieldSchema{
			Type:        kind,
			Deprecated:  true,
			Description: tokenutil.DeprecationText("token_" + old),
		}
	}
	tokenutil.AddTokenFields(fields)
	return fields
}

func (b *backend) roleExists(ctx context.Context, req *logical.Request, data *framework.FieldData) (bool, error) {
	r, err := role.Read(ctx, req.Storage, data.Get("name").(string))
	return r != nil, err
}

func (b *backend) roleList(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := req.Storage.List(ctx, role.Prefix)
	if err != nil {
		return nil, err
	}
	return logical.ListResponse(names), nil
}

func (b *backend) roleRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	r, err := role.Read(ctx, req.Storage, data.Get("name").(string))
	if err != nil || r == nil {
		return nil, err
	}
	return &logical.Response{Data: roleData(r)}, nil
}

// roleData is what reading the role returns. The deprecated fields are there
// only where the role was written with them.
func roleData(r *role.Entry) map[string]any {
	d := map[string]any{
		"bound_service_account_names":              r.ServiceAccountNames,
		"bound_service_account_namespaces":         r.ServiceAccountNamespaces,
		"bound_service_account_namespace_selector": r.ServiceAccountNamespaceSelector,
		"alias_name_source":                        r.AliasNameSource,
	}
	r.PopulateTokenData(d)
	if r.Audience != "" {
		d["audience"] = r.Audience
	}
	// What Vault's own method does not have is there also where it is empty: a
	// client that compares what it wrote has to see what is gone.
	d["bound_audiences"] = append([]string{}, r.BoundAudiences...)
	d["bound_service_accounts"] = append([]string{}, r.BoundServiceAccounts...)
	d["selector"] = r.Selector
	d["only_by_binding_rules"] = r.OnlyByBindingRules
	d["use_binding_rules"] = r.UseBindingRules
	d["max_token_lifetime"] = seconds(r.MaxTokenLifetime)
	d["require_pod_bound_tokens"] = r.RequirePodBoundTokens
	d["refuse_legacy_tokens"] = r.RefuseLegacyTokens
	if len(r.AliasMetadata) == 0 {
		d["alias_metadata"] = map[string]string{}
	}
	for old, isSet := range map[string]bool{
		"policies":    len(r.Policies) > 0,
		"bound_cidrs": len(r.BoundCIDRs) > 0,
		"num_uses":    r.NumUses > 0,
		"ttl":         r.TTL > 0,
		"max_ttl":     r.MaxTTL > 0,
		"period":      r.Period > 0,
	} {
		if isSet {
			d[old] = d["token_"+old]
		}
	}
	return d
}

// roleDelete says what still refers to the role, and nothing if nothing does.
func (b *backend) roleDelete(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := role.Key(data.Get("name").(string))
	_, err := b.change(ctx, req.Storage, []string{role.StorageKey(name)}, func(s logical.Storage) (*logical.Response, error) {
		return nil, s.Delete(ctx, role.StorageKey(name))
	})
	if err != nil {
		return nil, err
	}
	warnings := b.deletedRoleWarnings(ctx, req.Storage, name)
	if len(warnings) == 0 {
		return nil, nil
	}
	return answerWrite(req, data, warnings, nil), nil
}

// deletedRoleWarnings say what still refers to a role that was deleted. The role is gone
// whatever they come to, so what cannot be read now is left out.
func (b *backend) deletedRoleWarnings(ctx context.Context, s logical.Storage, name string) []string {
	var warnings []string
	if c, err := config.Read(ctx, s); err == nil && c.GoesThrough(name) {
		warnings = append(warnings, c.RuleRoleProblem(nil))
	}
	rules, err := b.rules.Get(ctx, s)
	if err != nil {
		return warnings
	}
	bound := rules.BindingRole(name)
	for i, rule := range bound {
		bound[i] = fmt.Sprintf("%q", rule)
	}
	if len(bound) > 0 {
		warnings = append(warnings, fmt.Sprintf("there is no role %q any more, which binding rules bind; logins skip it until there is: %s", name, scrub.Few(bound)))
	}
	return warnings
}

func (b *backend) roleWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	key := role.StorageKey(data.Get("name").(string))
	response, err := b.change(ctx, req.Storage, []string{key}, func(s logical.Storage) (*logical.Response, error) {
		return b.roleChange(ctx, s, req, data)
	})
	return withMeant(response, err, req, data)
}

// roleChange creates a role, or changes the fields that are named.
func (b *backend) roleChange(ctx context.Context, s logical.Storage, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	r, err := role.Read(ctx, s, name)
	if err != nil {
		return nil, err
	}
	if r == nil && req.Operation != logical.CreateOperation {
		return nil, errors.New("role entry not found during update operation")
	}
	create := r == nil
	if create {
		r = &role.Entry{}
	}
	before := *r
	if response, err := setTokenFields(r, req, data, b.System()); response != nil || err != nil {
		return response, err
	}
	setBounds(r, data)
	_, writesSelector := data.GetOk("bound_service_account_namespace_selector")
	if err := r.Validate(writesSelector); err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	if err := errors.Join(checkWrittenSelector(data), setAliasNameSource(r, data), r.CheckWrittenLists(&before), posture.RefuseWritten(req.Data)); err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	c, err := config.Read(ctx, s)
	if err != nil && r.LacksAudience() {
		return nil, err // otherwise it only serves for warnings
	}
	if r.LacksAudience() && c != nil && c.RequireAudience && !r.UseBindingRules {
		return logical.ErrorResponse("the configuration has require_audience set: give the role an audience"), nil
	}
	entry, err := logical.StorageEntryJSON(role.StorageKey(name), r)
	if err != nil {
		return nil, err
	}
	if err := s.Put(ctx, entry); err != nil {
		return nil, err
	}
	warnings := roleWarnings(r, name, c, b.System())
	warnings = append(warnings, r.WrittenWarnings(req.Data, create, c.Setting())...)
	widened := r.WidenedFrom(&before, emptied(req))
	if !before.OnlyByBindingRules && !r.OnlyByBindingRules && slices.Contains(emptyBooleans(req, data), "only_by_binding_rules") {
		widened = append(widened, config.EmptyIsFalse("only_by_binding_rules")+" Whoever the bounds of the role allow can log in by naming it.")
	}
	if !before.UseBindingRules && !r.UseBindingRules && slices.Contains(emptyBooleans(req, data), "use_binding_rules") {
		widened = append(widened, config.EmptyIsFalse("use_binding_rules")+" Whoever the bounds of the role allow gets its policies, and no binding rule counts.")
	}
	return answerWrite(req, data, slices.Concat(warnings, c.RoleUseWarnings(name, r, create), widened), nil), nil
}

// checkWrittenSelector refuses a selector that is part of the write and was meant
// otherwise. One that was stored before goes on as it was.
func checkWrittenSelector(data *framework.FieldData) error {
	selector, named := data.GetOk("selector")
	if !named {
		return nil
	}
	_, err := binding.CompileWrittenSelector(selector.(string))
	return err
}

// setTokenFields takes over the token_* fields and the deprecated ones, and checks
// them against each other and the mount. A response or an error means refusal.
func setTokenFields(r *role.Entry, req *logical.Request, data *framework.FieldData, system logical.SystemView) (*logical.Response, error) {
	aliasMetadata := r.AliasMetadata
	if err := r.ParseTokenFields(req, data); err != nil {
		return logical.ErrorResponse(err.Error()), logical.ErrInvalidRequest
	}
	if _, named := data.GetOk("alias_metadata"); !named {
		r.AliasMetadata = aliasMetadata // ParseTokenFields empties it
	}
	for old, fields := range map[string][2]any{
		"policies":    {&r.Policies, &r.TokenPolicies},
		"bound_cidrs": {&r.BoundCIDRs, &r.TokenBoundCIDRs},
		"num_uses":    {&r.NumUses, &r.TokenNumUses},
		"ttl":         {&r.TTL, &r.TokenTTL},
		"max_ttl":     {&r.MaxTTL, &r.TokenMaxTTL},
		"period":      {&r.Period, &r.TokenPeriod},
	} {
		if err := tokenutil.UpgradeValue(data, old, "token_"+old, fields[0], fields[1]); err != nil {
			return logical.ErrorResponse(err.Error()), nil
		}
	}
	if r.TokenPeriod > 0 { // what the mount allows is a request back to Vault
		if mountMax := system.MaxLeaseTTL(); r.TokenPeriod > mountMax {
			return logical.ErrorResponse("token period of '%q' is greater than the backend's maximum lease TTL of '%q'", r.TokenPeriod.String(), mountMax.String()), nil
		}
	}
	if r.TokenMaxTTL > 0 && r.TokenTTL > r.TokenMaxTTL {
		return logical.ErrorResponse("token ttl should not be greater than token max ttl"), nil
	}
	return nil, nil
}

func setBounds(r *role.Entry, data *framework.FieldData) {
	if names, ok := data.GetOk("bound_service_account_names"); ok {
		r.ServiceAccountNames = names.([]string)
	}
	if namespaces, ok := data.GetOk("bound_service_account_namespaces"); ok {
		r.ServiceAccountNamespaces = namespaces.([]string)
	}
	if selector, ok := data.GetOk("bound_service_account_namespace_selector"); ok {
		r.ServiceAccountNamespaceSelector = selector.(string)
	}
	if audience, ok := data.GetOk("audience"); ok {
		r.Audience = audience.(string)
	}
	if audiences, ok := data.GetOk("bound_audiences"); ok {
		r.BoundAudiences = audiences.([]string)
	}
	if pairs, ok := data.GetOk("bound_service_accounts"); ok {
		r.BoundServiceAccounts = pairs.([]string)
	}
	if selector, ok := data.GetOk("selector"); ok {
		r.Selector = selector.(string)
	}
	if only, ok := data.GetOk("only_by_binding_rules"); ok {
		r.OnlyByBindingRules = only.(bool)
	}
	if use, ok := data.GetOk("use_binding_rules"); ok {
		r.UseBindingRules = use.(bool)
	}
	if lifetime, ok := data.GetOk("max_token_lifetime"); ok {
		r.MaxTokenLifetime = time.Duration(lifetime.(int)) * time.Second
	}
	if require, ok := data.GetOk("require_pod_bound_tokens"); ok {
		r.RequirePodBoundTokens = require.(bool)
	}
	if refuse, ok := data.GetOk("refuse_legacy_tokens"); ok {
		r.RefuseLegacyTokens = refuse.(bool)
	}
}

// setAliasNameSource takes over the field. A role that has none, from before the
// field existed, gets the default; an empty value is wrong for one that has.
func setAliasNameSource(r *role.Entry, data *framework.FieldData) error {
	had := r.AliasNameSource != ""
	if source, named := data.GetOk("alias_name_source"); named {
		r.AliasNameSource = source.(string)
	}
	if r.AliasNameSource == "" && !had {
		r.AliasNameSource = role.AliasNameSourceUID
	}
	sources := []string{role.AliasNameSourceUID, role.AliasNameSourceName}
	if !slices.Contains(sources, r.AliasNameSource) {
		return fmt.Errorf("invalid alias_name_source, must be one of: %s", strings.Join(sources, ", "))
	}
	return nil
}

// roleWarnings are what the writer of a role should know, in Vault's words.
func roleWarnings(r *role.Entry, name string, c *config.Entry, system logical.SystemView) []string {
	var warnings []string
	if r.TokenMaxTTL > 0 && r.TokenMaxTTL > system.MaxLeaseTTL() {
		warnings = append(warnings, "max_ttl is greater than the system or backend mount's maximum TTL value; issued tokens' max TTL value will be truncated")
	}
	switch {
	case !r.LacksAudience() || r.StandsForRules(): // by rules, the mount's audiences count
	case c != nil && c.NeedsAudience():
		warnings = append(warnings, fmt.Sprintf("role %q has no audience, and lets nobody in: verification is keys, which takes no role without one.", name))
	default:
		warnings = append(warnings, fmt.Sprintf("Role %s does not have an audience configured. While audiences are not required, consider specifying one if your use case would benefit from additional JWT claim verification.", name))
	}
	return warnings
}
