package importer

import (
	"context"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/consul"
)

func (m *Mount) planConfig(ctx context.Context, plan *Plan, before *config.Entry, from consul.Config) error {
	c := &config.Entry{DisableISSValidation: true}
	if before != nil {
		*c = *before
	}
	takeOver(c, from)
	if _, err := c.TakeTexts(before, nil); err != nil {
		return Refusal{"auth_method: " + err.Error()}
	}
	if err := c.Validate(m.PodCA); err != nil {
		return Refusal{"auth_method: " + err.Error()}
	}
	plan.Config = c
	plan.Left = append(plan.Left, narrowerThanConsul(c)...)
	if before != nil && !plan.options.ReplaceConfiguration {
		plan.conflicts = append(plan.conflicts, replaces(c, before)...)
	}
	return plan.add(ctx, config.Path, c)
}

// takeOver sets what Consul's method has. It brings a reviewer's token of its own, so
// the files of a pod that Vault may run in are not used. What the method leaves open is
// kept where the cluster is the same.
func takeOver(c *config.Entry, from consul.Config) {
	sameHost := sameKubernetesHost(c.Host, from.Host)
	c.Host = from.Host
	if from.CACert != "" || !sameHost {
		c.CACert = from.CACert
	}
	if from.ReviewerJWT != "" || !sameHost {
		c.TokenReviewerJWT = from.ReviewerJWT
		c.DisableLocalCAJWT = true
	}
	c.ServiceNameAnnotation = consul.ServiceNameAnnotation
	c.MapNamespaces = from.MapNamespaces
	c.ConsulNamespacePrefix = from.NamespacePrefix
	c.ConsulNamespaceOverrides = from.NamespaceOverrides
	if !c.MapNamespaces {
		c.ConsulNamespacePrefix, c.ConsulNamespaceOverrides = "", nil
	}
}
