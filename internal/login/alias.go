package login

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"vault-plugin-auth-kubernetes/internal/metadata"
)

// nameAlias finds what the entity alias is called and which metadata it has.
func (d *decision) nameAlias(ctx context.Context) (err error) {
	d.Alias = d.Who.UID()
	if d.Role != nil {
		if d.Alias, err = d.Role.AliasName(d.Who); err != nil {
			return err
		}
	}
	if d.ByRules {
		d.Alias = d.borne().aliasName(d.Alias, d.Role != nil)
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
}

func (d *decision) borne() borneByEntity {
	b := borneByEntity{
		Groups: d.Granted.Groups, Services: d.Granted.Services, Nodes: d.Granted.Nodes,
		Secret: d.SecretName,
	}
	if d.Role != nil {
		b.Custom = d.Role.AliasMetadata
	}
	return b
}

// aliasName is the alias of a login by rules, made of the name that the mount gives
// to aliases. The colon keeps it apart from the aliases of roles, which have none: no
// uid, name or namespace of Kubernetes has one.
//
// Where logins by rules go through a role and get nothing that the entity bears, they
// have the very alias of that role. Without such a role they do not: the alias could
// have custom metadata from any role.
func (b borneByEntity) aliasName(base string, throughRole bool) string {
	granted := len(b.Groups)+len(b.Services)+len(b.Nodes) > 0
	switch {
	case throughRole && !granted:
		return base
	case !granted && b.Secret == "":
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
