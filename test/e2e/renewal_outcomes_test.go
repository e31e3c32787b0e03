package e2e

import (
	"net/http"
	"testing"
)

// renewalCheck is the difference that TestRenewalOutcomes shows.
const renewalCheck = "renewal-check"

// TestRenewalOutcomes takes something away between login and renewal.
func TestRenewalOutcomes(t *testing.T) {
	t.Parallel()
	const renewed, refused = http.StatusOK, http.StatusBadRequest
	for name, row := range map[string]struct {
		config        fields
		change        func(t *testing.T, c *cluster, f renewalFixture)
		builtin, ours int
	}{
		"nothing": {nil, func(*testing.T, *cluster, renewalFixture) {}, renewed, renewed},
		"service account deleted": {nil, func(t *testing.T, c *cluster, f renewalFixture) {
			c.deleteAccount(t, f.account)
		}, renewed, refused},
		"service account created anew": {nil, func(t *testing.T, c *cluster, f renewalFixture) {
			c.deleteAccount(t, f.account)
			c.newAccount(t, f.account.namespace, f.account.name, nil)
		}, renewed, refused},
		"service account deleted, check off": {fields{"renewal_check": "none"}, func(t *testing.T, c *cluster, f renewalFixture) {
			c.deleteAccount(t, f.account)
		}, renewed, renewed},
		"pod deleted": {nil, func(t *testing.T, c *cluster, f renewalFixture) {
			c.deletePod(t, f.account, f.pod)
		}, renewed, renewed},
		"pod deleted, check of pods": {fields{"renewal_check": "pod"}, func(t *testing.T, c *cluster, f renewalFixture) {
			c.deletePod(t, f.account, f.pod)
		}, renewed, refused},
		"pod there, check of pods": {fields{"renewal_check": "pod"}, func(*testing.T, *cluster, renewalFixture) {}, renewed, renewed},
		"reviewer deleted": {nil, func(t *testing.T, c *cluster, f renewalFixture) {
			c.deleteAccount(t, f.reviewer)
		}, renewed, renewed},
		"role deleted": {nil, func(t *testing.T, _ *cluster, f renewalFixture) {
			f.mounts.must(t, http.MethodDelete, "role/app", nil)
		}, http.StatusInternalServerError, http.StatusInternalServerError},
		"role deleted and written anew": {nil, func(t *testing.T, _ *cluster, f renewalFixture) {
			f.mounts.must(t, http.MethodDelete, "role/app", nil)
			f.mounts.must(t, http.MethodPost, "role/app", f.role)
		}, renewed, renewed},
		"configuration deleted": {nil, func(t *testing.T, _ *cluster, f renewalFixture) {
			f.mounts.ours.must(t, http.MethodDelete, "config", nil)
		}, renewed, renewed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := mainCluster(t)
			f := newRenewalFixture(t, c, row.config)
			builtin, ours := f.mounts.builtin.issue(t, "app", f.jwt), f.mounts.ours.issue(t, "app", f.jwt)
			row.change(t, c, f)
			a, b := renew(t, builtin, 0), renew(t, ours, 0)
			if a.Status != row.builtin || b.Status != row.ours {
				t.Errorf("the built-in answers %v, want %d\nthis plugin answers %v, want %d", a, row.builtin, b, row.ours)
			}
		})
	}
}

type renewalFixture struct {
	mounts            mounts
	account, reviewer account
	pod, jwt          string
	role              fields
}

func newRenewalFixture(t *testing.T, c *cluster, config fields) renewalFixture {
	t.Helper()
	f := renewalFixture{mounts: newMounts(t), account: c.newAccount(t, "", "app", nil)}
	var token string
	f.reviewer, token = c.newReviewer(t, canReview, canGetServiceAccounts, canGetPods)
	f.role = fields{"bound_service_account_names": f.account.name, "bound_service_account_namespaces": f.account.namespace, "token_ttl": 600}
	f.mounts.must(t, http.MethodPost, "config", with(c.config(), fields{"token_reviewer_jwt": token}))
	f.mounts.ours.must(t, http.MethodPatch, "config", with(fields{"disable_iss_validation": true}, config))
	f.mounts.must(t, http.MethodPost, "role/app", f.role)
	f.jwt, f.pod = c.newPodToken(t, f.account)
	return f
}
