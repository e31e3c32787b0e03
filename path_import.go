package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/consul"
)

const importPath = "import/consul"

const (
	importHelpSynopsis    = "Takes over a Kubernetes auth method of Consul, with its binding rules."
	importHelpDescription = `
Send what consul acl auth-method read -format=json and consul acl binding-rule list
-format=json print: as text, or, over HTTP, as the JSON that it is. With dry_run=true the answer says what would be written, and
nothing is. Otherwise configuration and rules are written, all or none. What does
not carry over is named in the answer, a line each.
`
)

func (b *backend) pathImportConsul() *framework.Path {
	return &framework.Path{
		Pattern: importPath + "$",
		Fields: map[string]*framework.FieldSchema{
			"auth_method": {
				Type:        framework.TypeString,
				Description: "Output of consul acl auth-method read -format=json, as text or as the JSON object. Required.",
			},
			"binding_rules": {
				Type:        framework.TypeString,
				Description: "Output of consul acl binding-rule list -format=json, as text or as the JSON list. Required.",
			},
			"dry_run": {
				Type:        framework.TypeBool,
				Description: "Say what would be written, and write nothing.",
			},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{Callback: b.importConsul},
		},
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix,
			OperationVerb:   "import",
			OperationSuffix: "consul-auth-method",
		},
		HelpSynopsis:    importHelpSynopsis,
		HelpDescription: importHelpDescription,
	}
}

// documentsAsSent makes text of the two documents where they were sent as the JSON that
// they are. The framework knows no field that takes both, and its refusal repeats the
// reviewer's token.
func documentsAsSent(req *logical.Request) {
	if req.Path != importPath {
		return
	}
	for _, field := range []string{"auth_method", "binding_rules"} {
		switch value := req.Data[field].(type) {
		case map[string]any, []any:
			if text, err := json.Marshal(value); err == nil { // it came as JSON
				req.Data[field] = string(text)
			}
		}
	}
}

// plannedWrite is one entry that an import is going to store.
type plannedWrite struct {
	entry  *logical.StorageEntry
	before *logical.StorageEntry // nil if there is none
}

// importPlan is what an import comes to.
type importPlan struct {
	config *configEntry
	rules  []string // what happens to each, a line
	writes []plannedWrite
	left   []string
	// missing are roles that rules bind and that do not exist, a line each.
	missing []string
}

func (b *backend) importConsul(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	if response := refuseUnknown(req, data); response != nil {
		return response, nil
	}
	b.writes.Lock()
	defer b.writes.Unlock()

	for _, field := range []string{"auth_method", "binding_rules"} {
		if err := requireValue(field, data.Get(field).(string)); err != nil {
			return respond(err)
		}
	}
	imported, err := consul.Read([]byte(data.Get("auth_method").(string)), []byte(data.Get("binding_rules").(string)))
	if err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	plan, response, err := b.planImport(ctx, req.Storage, imported)
	if response != nil || err != nil {
		return response, err
	}
	dryRun := data.Get("dry_run").(bool)
	if !dryRun {
		err := store(ctx, req.Storage, plan.writes)
		for _, w := range plan.writes {
			b.invalidate(ctx, w.entry.Key)
		}
		if err != nil {
			return nil, err
		}
	}
	return &logical.Response{
		Data: map[string]any{
			"dry_run":          dryRun,
			"config":           plan.config.responseData(),
			"rules":            plan.rules,
			"not_carried_over": plan.left,
		},
		Warnings: plan.missing,
	}, nil
}

// planImport works out what to write. A response means that the import is refused.
func (b *backend) planImport(ctx context.Context, s logical.Storage, imported *consul.Import) (*importPlan, *logical.Response, error) {
	config, err := readConfig(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	if config == nil {
		config = &configEntry{DisableISSValidation: true}
	}
	config.takeOver(imported.Config)
	if err := b.validateConfig(config); err != nil {
		return nil, logical.ErrorResponse("auth_method: %s", err), nil
	}
	plan := &importPlan{config: config, rules: []string{}, left: slices.Clone(imported.Left)}
	if err := plan.add(ctx, s, configPath, config); err != nil {
		return nil, nil, err
	}
	for _, rule := range imported.Rules {
		if err := b.planRule(ctx, s, plan, rule); err != nil {
			return nil, nil, err
		}
	}
	return plan, nil, nil
}

// takeOver sets what Consul's method has. It brings a reviewer's token of its own, so
// the files of a pod that Vault may run in are not used.
func (c *configEntry) takeOver(from consul.Config) {
	c.Host = from.Host
	c.CACert = from.CACert
	c.TokenReviewerJWT = from.ReviewerJWT
	c.DisableLocalCAJWT = true
	c.ServiceNameAnnotation = consul.ServiceNameAnnotation
	c.MapNamespaces = from.MapNamespaces
	c.ConsulNamespacePrefix = from.NamespacePrefix
	c.ConsulNamespaceOverrides = from.NamespaceOverrides
	if !c.MapNamespaces {
		c.ConsulNamespacePrefix, c.ConsulNamespaceOverrides = "", nil
	}
}

func (b *backend) planRule(ctx context.Context, s logical.Storage, plan *importPlan, rule consul.Rule) error {
	entry := &ruleEntry{
		Description: rule.Description,
		Selector:    rule.Selector,
		BindType:    rule.BindType,
		BindName:    rule.BindName,
	}
	if err := checkRuleName(rule.Name); err != nil {
		plan.left = append(plan.left, err.Error())
		return nil
	}
	if err := entry.validate(rule.Name); err != nil {
		plan.left = append(plan.left, fmt.Sprintf("%s: %s", rule.Name, err))
		return nil
	}
	if missing := b.missingRole(ctx, s, entry); missing != "" {
		plan.missing = append(plan.missing, rule.Name+": "+missing)
	}
	before, err := readRule(ctx, s, rule.Name)
	if err != nil {
		return err
	}
	what := "create"
	switch {
	case before == nil:
	case *before == *entry:
		what = "unchanged"
	default:
		what = "update"
	}
	plan.rules = append(plan.rules, fmt.Sprintf("%s %s: %s %s if %s", what, rule.Name, entry.BindType, entry.BindName, orAlways(entry.Selector)))
	if what == "unchanged" {
		return nil
	}
	return plan.add(ctx, s, ruleKey(rule.Name), entry)
}

// checkRuleName refuses an ID of Consul's that cannot be a name here. It is in the
// import alone that names do not come from the path.
func checkRuleName(name string) error {
	if len(name) > maxRoleNameBytes || !storableRoleName.MatchString(name) {
		return fmt.Errorf("%.64q: the ID cannot be the name of a binding rule", name)
	}
	return nil
}

func orAlways(selector string) string {
	if selector == "" {
		return "always"
	}
	return selector
}

func (p *importPlan) add(ctx context.Context, s logical.Storage, key string, value any) error {
	entry, err := logical.StorageEntryJSON(key, value)
	if err != nil {
		return err
	}
	before, err := s.Get(ctx, key)
	if err != nil {
		return err
	}
	p.writes = append(p.writes, plannedWrite{entry: entry, before: before})
	return nil
}

// store writes all entries. If one cannot be written, those before it are put back
// as they were, for a plugin has no transactions.
func store(ctx context.Context, s logical.Storage, writes []plannedWrite) error {
	for i, w := range writes {
		if err := s.Put(ctx, w.entry); err != nil {
			return errors.Join(err, undo(context.WithoutCancel(ctx), s, writes[:i+1]))
		}
	}
	return nil
}

func undo(ctx context.Context, s logical.Storage, writes []plannedWrite) error {
	var errs []error
	for _, w := range slices.Backward(writes) {
		var err error
		if w.before == nil {
			err = s.Delete(ctx, w.entry.Key)
		} else {
			err = s.Put(ctx, w.before)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s could not be put back: %w", w.entry.Key, err))
		}
	}
	return errors.Join(errs...)
}
