package login

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"vault-plugin-auth-kubernetes/internal/metadata"
)

// nameAlias finds what the entity alias is called and which metadata it has.
func (d *decision) nameAlias(ctx context.Context) (err error) {
	d.Alias = d.Who.UID()
	if roles := d.roles(); len(roles) > 0 {
		if d.Alias, err = roles[0].AliasName(d.Who); err != nil {
			return err
		}
	}
	if d.ByRules {
		d.Alias = d.borne().aliasName(d.Alias, len(d.Through) > 0 && d.Through[0].OfMount)
	}
	if !d.Cluster.Config.UseAnnotationsAsAliasMetadata {
		return nil
	}
	account, err := d.objects.ServiceAccount(ctx)
	if err != nil {
		return err
	}
	d.Annotations, err = metadata.FromAnnotations(account.Annotations)
	return err
}

// borneByEntity is what a login by rules is given that Vault keeps with the entity and
// its alias, and not with the token: what one login brings, all tokens of the entity
// have from then on, older ones too. Two logins of one service account that differ in
// it must not share an entity.
type borneByEntity struct {
	Groups, Services, Nodes []string
	// Secret is service_account_secret_name, which tokens of one account may differ in.
	Secret string
	// Custom is custom metadata of the alias, which Vault sets when it creates it, and
	// never again.
	Custom map[string]string
	// Named tells that some of Custom is of the role that the login names, and not of the
	// one that all logins by rules go through.
	Named bool `json:",omitempty"`
}

func (d *decision) borne() borneByEntity {
	b := borneByEntity{
		Groups: d.Granted.Groups, Services: d.Granted.Services, Nodes: d.Granted.Nodes,
		Secret: d.SecretName,
	}
	b.Custom = d.CustomMetadata()
	for _, r := range d.Through {
		b.Named = b.Named || !r.OfMount && len(r.AliasMetadata) > 0
	}
	return b
}

// CustomMetadata is what the roles that a login by rules goes through add to its alias;
// what the mount's says comes before.
func (o *Finding) CustomMetadata() map[string]string {
	var custom map[string]string
	for _, r := range slices.Backward(o.Through) {
		if len(r.AliasMetadata) > 0 {
			custom = metadata.Merged(custom, r.AliasMetadata)
		}
	}
	return custom
}

// aliasName is the alias of a login by rules, made of the name that the mount gives
// to aliases. The colon keeps it apart from the aliases of roles, which have none: no
// uid, name or namespace of Kubernetes has one.
//
// Where the mount has all logins by rules go through a role, those that get nothing that
// the entity bears have the very alias of that role. Without such a role they do not: the
// alias could have custom metadata from any role. That of a role with use_binding_rules
// is for the logins that name it.
func (b borneByEntity) aliasName(base string, throughRoleOfMount bool) string {
	apart := len(b.Groups)+len(b.Services)+len(b.Nodes) > 0 || b.Named
	switch {
	case throughRoleOfMount && !apart:
		return base
	case !apart && b.Secret == "":
		return base + aliasByRules
	}
	text, err := json.Marshal(b) //nolint:gosec // Secret is the name of one
	if err != nil {
		panic(err) // strings always marshal
	}
	sum := sha256.Sum256(text)
	// Who names pods may name services, so the hash has to withstand one who looks for
	// a name that collides with another pod's: 128 bits do.
	return base + aliasByRules + ":" + hex.EncodeToString(sum[:aliasHashBytes])
}

const (
	aliasByRules   = ":rules"
	aliasHashBytes = 16
)
