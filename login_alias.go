package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"vault-plugin-auth-kubernetes/internal/binding"
)

// nameAlias finds what the entity alias is called and which metadata it has.
func (l *login) nameAlias(ctx context.Context) (err error) {
	l.aliasName = l.identity.UID()
	if l.role != nil {
		if l.aliasName, err = l.role.AliasName(l.identity); err != nil {
			return err
		}
	}
	if l.byRules {
		l.aliasName = l.borne().aliasName(l.aliasName, l.role != nil)
	}
	if !l.cluster.Config.UseAnnotationsAsAliasMetadata {
		return nil
	}
	account, err := l.objects.ServiceAccount(ctx)
	if err != nil {
		return err
	}
	if l.annotations, err = annotationMetadata(account.Annotations); err == nil {
		l.logLeftOut()
	}
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

func (l *login) borne() borneByEntity {
	b := borneByEntity{
		Groups: l.granted.Groups, Services: l.granted.Services, Nodes: l.granted.Nodes,
		Secret: l.secretName(),
	}
	if l.role != nil {
		b.Custom = l.role.AliasMetadata
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

// leasedGroups are the groups of a lease of rules, for its renewal: the host keeps in
// the lease only those that existed at login, and would take the entity, which newer
// tokens have too, out of any that came later.
func leasedGroups(leased any) []string {
	text, _ := leased.(string)
	var lists [][]string
	if json.Unmarshal([]byte(text), &lists) != nil || len(lists) <= fingerprintGroups {
		return nil
	}
	return slices.Clone(lists[fingerprintGroups])
}

// fingerprintGroups is where the groups are in a fingerprint.
const fingerprintGroups = 1

// fingerprint is the same for two logins that were granted the same.
func fingerprint(g binding.Grants) string {
	text, err := json.Marshal([][]string{g.Policies, g.Groups, g.Services, g.Nodes})
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}
