package main

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/cluster"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/reviewertoken"
	"vault-plugin-auth-kubernetes/internal/token"
)

// newReviewer makes the reviewer of a cluster.
func newReviewer(c *cluster.Cluster) cluster.Reviewer {
	return &apiReviewer{client: c.Client, selfReview: c.SelfReview, dropped: c.Config.ReviewerDropped}
}

// apiReviewer is the reviewer that every mount uses: the TokenReview API of its
// cluster.
type apiReviewer struct {
	client *kube.Client
	// selfReview says that there is no reviewer credential, so a rejected
	// credential is the client's and not the operator's.
	selfReview func() bool
	// dropped says that there was a reviewer, and a write took it away without
	// saying so.
	dropped bool
}

// Review asks for one review. audiences are the ones that the token must be valid
// for, one of them at least; with none, the API server's own.
func (r *apiReviewer) Review(ctx context.Context, t *token.Unverified, audiences []string) (identity.Identity, error) {
	status, err := r.client.ReviewToken(ctx, t.Raw(), audiences)
	if err != nil {
		return identity.Identity{}, r.refusal(err)
	}
	id, err := identity.FromReview(status, audiences)
	if err != nil {
		// It may quote the user that the API server named.
		return identity.Identity{}, refusal.DenyFor(r.client.Secrets(t.Raw()).Error(err))
	}
	return id, nil
}

func (r *apiReviewer) refusal(err error) error {
	selfReview := r.selfReview()
	err = cluster.Refusal(err, selfReview, kube.Unauthorized, kube.Forbidden)
	var failed *kube.Error
	var refused *refusal.Refusal
	if !selfReview || !errors.As(err, &failed) || !errors.As(err, &refused) {
		return err
	}
	if failed.Failure == kube.Unauthorized {
		refused.Remedy = selfReviewRemedy
	}
	// A token that may not ask about itself is not the client's doing: no client can
	// give it that permission. One that is rejected mostly is, unless there was a
	// reviewer that got lost.
	if failed.Failure == kube.Forbidden || failed.Failure == kube.Unauthorized && r.dropped {
		refused.Operator, refused.Class, refused.Remedy = true, refusal.ClassNoReviewer, noReviewerRemedy
		if r.dropped {
			refused.Reason = "a write of the configuration took the reviewer's token away"
		}
	}
	return err
}

// selfReviewRemedy is about a token that is its own credential, and that the API server
// does not take for one.
const selfReviewRemedy = "there is no reviewer, so the token itself has to be a credential of the API server: it needs the API server's own audience " +
	"beside any other (kubectl create token takes several, a projected volume one); better set token_reviewer_jwt, or send a second token of the pod as reviewer_jwt"

const noReviewerRemedy = "set token_reviewer_jwt; where each login is to review itself, its service account needs the " +
	"ClusterRole system:auth-delegator, and its token the API server's own audience too"

// reviewerKeys are what the reviewer's token depends on: where it is stored, and where a first
// one is until it was replaced.
var reviewerKeys = []string{config.Path, reviewertoken.Path}

// newReviewerKeeper makes what replaces the reviewer's token.
func (b *backend) newReviewerKeeper() *reviewertoken.Keeper {
	return &reviewertoken.Keeper{
		Ctx: b.ctx, Now: b.time, MayWrite: b.mayWrite,
		Change: func(ctx context.Context, s logical.Storage, run func(s logical.Storage) error) error {
			return b.changes.Do(ctx, s, reviewerKeys, run)
		},
		Wanted: wantedReviewer,
		Forget: func(ctx context.Context, s logical.Storage) error {
			c, err := config.Read(ctx, s)
			if err != nil || c == nil {
				return err
			}
			c.TokenReviewerJWT = ""
			entry, err := logical.StorageEntryJSON(config.Path, c)
			if err != nil {
				return err
			}
			return s.Put(ctx, entry)
		},
		Ask: b.askForReviewerToken,
		Try: func(ctx context.Context, s logical.Storage, credential string) error {
			c, err := b.cluster.Get(ctx, s)
			if err != nil || c == nil {
				return err
			}
			status, err := c.Client.ReviewToken(kube.WithCredential(kube.Insist(ctx), credential), credential, nil)
			if err == nil && !status.Authenticated {
				return &reviewertoken.Void{Err: refusal.Deny("the API server does not know it: " + status.Error)}
			}
			var failed *kube.Error
			if errors.As(err, &failed) && failed.Failure == kube.Unauthorized {
				return &reviewertoken.Void{Err: cluster.Refusal(err, false)}
			}
			return cluster.Refusal(err, false)
		},
	}
}

func wantedReviewer(ctx context.Context, s logical.Storage) (reviewertoken.Want, error) {
	c, err := config.Read(ctx, s)
	if err != nil || c == nil {
		return reviewertoken.Want{}, err
	}
	return c.WantedReviewer(), nil
}

// mayWrite tells whether this node may write the mount's storage: neither a standby nor, unless
// the mount is its own, a secondary. They use what is replicated.
func (b *backend) mayWrite() bool {
	state := b.System().ReplicationState()
	if state.HasState(consts.ReplicationDRSecondary | consts.ReplicationPerformanceStandby) {
		return false
	}
	return b.System().LocalMount() || !state.HasState(consts.ReplicationPerformanceSecondary)
}

func (b *backend) askForReviewerToken(ctx context.Context, s logical.Storage, credential string, w reviewertoken.Want) (reviewertoken.Made, error) {
	c, err := b.cluster.Get(ctx, s)
	if err != nil || c == nil {
		return reviewertoken.Made{}, err
	}
	namespace, name := c.Config.SplitReviewerAccount()
	made, expires, err := c.Client.RequestToken(kube.WithCredential(kube.Insist(ctx), credential), namespace, name, w.Life)
	if err != nil {
		return reviewertoken.Made{}, cluster.AskedByAnother(cluster.Refusal(err, false, kube.NotFound), credential, c.Config.ReviewerAccount)
	}
	// By its own claims, which are both of the API server's clock; what it answers beside is not.
	life := expires.Sub(b.now())
	if t, err := token.Parse(made); err == nil && t.UnverifiedKind().Lifetime > 0 {
		life = t.UnverifiedKind().Lifetime
	}
	if life <= 0 {
		return reviewertoken.Made{}, refusal.Misconfigured("the API server made a token that has ended", "compare the clocks of Vault and the API server", nil)
	}
	return reviewertoken.Made{Token: made, Life: life}, nil
}

// periodic is called by Vault about once a minute on each node, and is all that the mount does
// by itself: it keeps the reviewer's token good.
func (b *backend) periodic(ctx context.Context, req *logical.Request) error {
	want, err := wantedReviewer(ctx, req.Storage)
	if err != nil || want.Account == "" {
		return err
	}
	outcome, err := b.reviewer.Run(ctx, req.Storage, reviewertoken.WhenDue)
	if err != nil {
		return err
	}
	b.tellReviewer(req.MountPoint, want.Account, outcome)
	_, _ = b.cluster.Get(ctx, req.Storage) // for the metric; what is wrong, logins say
	return nil
}

// tellReviewer has the log tell what became of the reviewer's token.
func (b *backend) tellReviewer(mount, account string, o reviewertoken.Outcome) {
	var left time.Duration
	if o.Entry != nil && o.Entry.Token != "" {
		left = o.Entry.Left(b.now())
	} else if ends, _, known := b.cluster.CredentialEnds(); known { // of the first token
		left = max(0, ends.Sub(b.now()))
	}
	switch {
	case o.Err != nil && (o.Entry == nil || o.Unused || o.Entry.Troubled(b.now())):
		b.log.ReviewerNotReplaced(b.Logger(), mount, account, left, o.Err)
	case o.Err == nil && (o.Step == reviewertoken.Renew || o.Step == reviewertoken.Exchange):
		b.log.ReviewerReplaced(b.Logger(), mount, account, o.Entry.Ends())
	}
}

// withFirstReplaced replaces a first token that a write of the configuration brought, and has
// its answer tell if that could not be done.
func (b *backend) withFirstReplaced(ctx context.Context, req *logical.Request, response *logical.Response, err error) (*logical.Response, error) {
	if err != nil || response.IsError() {
		return response, err
	}
	want, err := wantedReviewer(ctx, req.Storage)
	if err == nil && (want.Account == "" || want.First == "") {
		return response, nil
	}
	var outcome reviewertoken.Outcome
	if err == nil {
		outcome, err = b.reviewer.Run(ctx, req.Storage, reviewertoken.FirstNow)
	}
	if err != nil { // what was written is stored, and must not be answered as if it were not
		b.Logger().Warn("the reviewer's first token was not replaced yet, which is tried again", "mount", req.MountPoint, "error", err)
		return response, nil
	}
	b.tellReviewer(req.MountPoint, want.Account, outcome)
	if outcome.Err == nil || outcome.Step == reviewertoken.Renew {
		return response, nil // the first token is replaced
	}
	if response == nil {
		response = &logical.Response{}
	}
	text := "The first token could not be replaced by one of " + want.Account + ", is used meanwhile, and it is tried again: "
	if outcome.Unused {
		text = "The token that was named is not used and not kept, since it could not be replaced by one of " + want.Account + "; the one that is stored is good and goes on: "
	}
	response.AddWarning(text + reasonAndRemedy(outcome.Err))
	return response, nil
}
