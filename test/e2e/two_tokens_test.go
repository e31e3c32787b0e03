package e2e

import (
	"testing"

	authv1 "k8s.io/api/authentication/v1"
)

// TestTwoTokensAndWhatTheyMay is who may do what with a second token at a real API server: each
// row a login whose first token is for Vault alone, and bound to a pod unless it says otherwise.
func TestTwoTokensAndWhatTheyMay(t *testing.T) {
	t.Parallel()
	for _, row := range twoTokenRows() {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if row.token == nil {
				row.token = ofPod
			}
			if row.config == nil {
				row.config = noReviewer
			}
			row.run(t)
		})
	}
}

// ofPod is a token of a new pod for Vault alone.
func ofPod(f *fixture) (token string) {
	token, f.pod = f.cluster.newPodToken(f.t, f.account)
	return token
}

// ownToken is a token for the audiences, by default the API server's own, of the pod of the
// first token, or of none.
func (f *fixture) ownToken(pod string, audiences ...string) string {
	f.t.Helper()
	spec := authv1.TokenRequestSpec{Audiences: audiences}
	if pod != "" {
		spec.BoundObjectRef = &authv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod}
	}
	token, err := f.cluster.makeToken(f.t.Context(), f.account, spec)
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

// may has the service account of the login have permissions, and sends a second token.
func may(second func(f *fixture) string, permissions ...permission) func(f *fixture) fields {
	return func(f *fixture) fields {
		if err := f.cluster.allow(f.t.Context(), f.account, permissions...); err != nil {
			f.t.Fatal(err)
		}
		return fields{"reviewer_jwt": second(f)}
	}
}

func samePod(f *fixture) string { return f.ownToken(f.pod) }

// ofOther is a token of an account of a namespace of its own, which may ask about tokens, as a
// thief may have one.
func ofOther(f *fixture) string {
	_, token := f.cluster.newReviewer(f.t, canReview)
	return token
}

func twoTokenRows() []loginRow {
	labels := map[string]string{"team": "a"}
	byLabel := always(fields{"bound_service_account_namespaces": nil, selectorField: `{"matchLabels":{"team":"a"}}`})
	prefers := func(f *fixture) fields { return fields{"prefer_login_reviewer_jwt": true} }
	annotations := map[string]string{"vault.hashicorp.com/alias-metadata-team": "a"}
	annotated := always(fields{"token_reviewer_jwt": nil, "use_annotations_as_alias_metadata": true})
	// only is a row that Vault's own method, which ignores the field, refuses.
	only := func(row loginRow) loginRow {
		row.status, row.differs, row.builtin = ok, "second-token", denied
		return row
	}
	return []loginRow{
		// A first token alone.
		{name: "stolen first token, alone", status: denied,
			login: may(func(*fixture) string { return "" }, canReview, canGetNamespaces, canGetServiceAccounts)},
		{name: "stolen first token, with a thief's own", login: may(ofOther), status: denied},
		{name: "stolen first token, twice", status: denied, login: may(func(f *fixture) string { return f.ownToken(f.pod, audience) }, canReview)},
		{name: "stolen first token, with one of another cluster", status: denied,
			login: may(func(f *fixture) string { return secondCluster(f.t).reviewer }, canReview)},
		{name: "stolen first token, with one of another pod", status: denied, login: may(func(f *fixture) string {
			_, other := f.cluster.newPodToken(f.t, f.account)
			return f.ownToken(other)
		}, canReview)},
		{name: "stolen first token, with one of the account and no pod", status: denied,
			login: may(func(f *fixture) string { return f.ownToken("") }, canReview)},
		{name: "stolen first token, with one from a secret", status: denied,
			login: may(func(f *fixture) string { return f.cluster.newLegacyToken(f.t, f.account) }, canReview)},

		// What the second may.
		{name: "the second may not ask", login: may(samePod), status: denied},
		only(loginRow{name: "the second may ask", login: may(samePod, canReview)}),
		only(loginRow{name: "the first is of no pod", token: tokenFor(audience), login: may(func(f *fixture) string { return f.ownToken("") }, canReview)}),
		{name: "the second may not get namespaces", labels: labels, role: byLabel, login: may(samePod, canReview), status: denied},
		only(loginRow{name: "the second may get namespaces", labels: labels, role: byLabel, login: may(samePod, canReview, canGetNamespaces)}),
		{name: "the second may not get service accounts", annotations: annotations, config: annotated, login: may(samePod, canReview), status: denied},
		only(loginRow{name: "the second may get service accounts", annotations: annotations, config: annotated, login: may(samePod, canReview, canGetServiceAccounts)}),
		{name: "the second is for another audience", status: denied, login: may(func(f *fixture) string { return f.ownToken(f.pod, "elsewhere") }, canReview)},
		{name: "the first is for another audience", token: func(f *fixture) string {
			ofPod(f)
			return f.ownToken(f.pod, "elsewhere")
		}, login: may(samePod, canReview), status: denied},
		{name: "the pod is gone", status: denied, login: may(func(f *fixture) string {
			second := f.ownToken(f.pod)
			f.cluster.deletePod(f.t, f.account, f.pod)
			return second
		}, canReview)},

		// Where there is a reviewer.
		{name: "a reviewer, and a second that may nothing", config: always(nil), login: may(samePod), status: ok, differs: "bound-metadata", builtin: ok},
		{name: "a reviewer, and a second that is garbage", config: always(nil), login: may(func(*fixture) string { return "garbage" }), status: ok, differs: "bound-metadata", builtin: ok},
		{name: "a reviewer, and the second is preferred and may ask", config: prefers, login: may(samePod, canReview), status: ok, differs: "bound-metadata", builtin: ok},
		{name: "a reviewer, and the second is preferred and may nothing", config: prefers, login: may(samePod), status: denied, differs: "second-token", builtin: ok},
		{name: "a reviewer, and a thief's own is preferred", config: prefers, login: may(ofOther), status: denied, differs: "second-token", builtin: ok},
		{name: "a reviewer, and none is sent that would be preferred", config: prefers, login: always(nil), status: ok, differs: "bound-metadata", builtin: ok},
		{name: "a reviewer known by a certificate, and the second is preferred and may ask", login: may(samePod, canReview), status: ok,
			differs: "added-settings", builtin: denied,
			config: func(f *fixture) fields { return with(certificateOf(mainCluster)(f), prefers(f)) }},
		{name: "a reviewer known by a certificate, and the second is preferred and may nothing", login: may(samePod), status: denied,
			config: func(f *fixture) fields { return with(certificateOf(mainCluster)(f), prefers(f)) }},
	}
}
