package login

import (
	"context"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/cluster"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

// decision is what a login and a renewal have in common: somebody who is known, and what
// roles and rules say of them. There is no token in it.
type decision struct {
	Finding
	mount    Mount
	observer Observer
	// roleOfRule tells that the role is one that a binding rule binds.
	roleOfRule bool
	// named is the role that was named, by rules; nil if none was.
	named   *Through
	objects *cluster.Objects
}

func (d *decision) findCluster(ctx context.Context) error {
	c, err := d.mount.Cluster(ctx)
	if err != nil {
		return err
	}
	if c == nil {
		return refusal.ErrNoConfiguration
	}
	d.Cluster = c
	if d.ByRules {
		return d.goThrough(ctx)
	}
	return nil
}

// identify is where a decision learns who it is about. All that later steps may look at
// begins here. loginToken is the credential of look-ups where there is no reviewer; there
// is none on renewal.
func (d *decision) identify(id identity.Account, loginToken string) {
	d.Who = id
	d.objects = d.Cluster.Objects(id, loginToken)
	d.Attributes = binding.NewAttributes(id, binding.Context{
		ClusterName:     d.Cluster.Config.ClusterName,
		ConsulNamespace: d.Cluster.Config.ConsulNamespace(id.Namespace()),
		Turn:            d.mount.Turn,
	})
}

// fetch is how selectors and binding rules get at what the review does not tell.
func (d *decision) fetch(ctx context.Context, source binding.Source) error {
	switch source {
	case binding.ServiceAccount:
		account, err := d.objects.ServiceAccount(ctx)
		if err != nil {
			return err
		}
		d.Attributes.SetServiceAccount(account.Labels, account.Annotations)
	case binding.Namespace:
		namespace, err := d.objects.Namespace(ctx)
		if err != nil {
			return err
		}
		d.Attributes.SetNamespace(namespace.Labels)
	}
	return nil
}

func (d *decision) checkAccount(ctx context.Context) error { return d.objects.CheckAccount(ctx) }

func (d *decision) checkPod(ctx context.Context) error { return d.objects.CheckPod(ctx) }
