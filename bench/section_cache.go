package main

import (
	"context"
	"time"

	"vault-plugin-auth-kubernetes/bench/internal/load"
	"vault-plugin-auth-kubernetes/bench/internal/report"
	"vault-plugin-auth-kubernetes/bench/internal/rig"
)

// manyClients is how many clients there are where only one number is measured.
const manyClients = 16

// cache drives the plugin with token_review_cache_ttl set, beside the built-in.
func (r *run) cache(ctx context.Context, results *report.Report) error {
	section := &report.Cache{Stamp: r.begin(), TokenType: r.tokenType, TTL: r.cacheTTL}
	remember := map[string]any{"token_review_cache_ttl": r.cacheTTL.String()}
	err := r.withVault(ctx, "cache", func(vault *rig.Vault) error {
		if err := r.countReviews(ctx, vault, remember, section); err != nil {
			return err
		}
		subjects, done, err := r.bothMethods(ctx, vault, remember)
		if err != nil {
			return err
		}
		defer done()
		section.Rounds, err = r.interleave(ctx, vault, subjects, r.clients)
		return err
	})
	if err == nil {
		results.Cache = section
	}
	return err
}

// countReviews logs in at a mount that remembers nothing yet, for two windows and a
// half: each token begins three windows, and no more.
func (r *run) countReviews(ctx context.Context, vault *rig.Vault, remember map[string]any, section *report.Cache) error {
	if err := vault.NewMount(ctx, "counted", rig.Plugin, "app", r.tokenType, remember); err != nil {
		return err
	}
	callers, err := r.logins(manyClients, vault, "counted", "app")
	if err != nil {
		return err
	}
	defer load.Close(callers)
	before, err := r.rig.TokenReviews(ctx)
	if err != nil {
		return err
	}
	section.Windows = 3
	section.Counted, err = load.Run(ctx, callers, load.Plan{Duration: r.cacheTTL*5/2 - time.Millisecond})
	if err != nil {
		return err
	}
	after, err := r.rig.TokenReviews(ctx)
	section.Reviews = after - before
	return err
}
