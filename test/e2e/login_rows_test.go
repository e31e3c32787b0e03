package e2e

import "net/http"

const (
	ok          = http.StatusOK
	invalid     = http.StatusBadRequest
	denied      = http.StatusForbidden
	failed      = http.StatusInternalServerError
	unavailable = http.StatusServiceUnavailable
)

func tokenFor(audiences ...string) func(*fixture) string {
	return func(f *fixture) string { return f.cluster.newToken(f.t, f.account, audiences...) }
}

func legacyToken(f *fixture) string { return f.cluster.newLegacyToken(f.t, f.account) }

func audienceRows() []loginRow {
	noAudience := always(fields{"audience": nil})
	return []loginRow{
		{name: "the role's audience", status: ok, want: func(f *fixture) fields {
			metadata := fields{
				"service_account_name":        "app",
				"service_account_namespace":   f.account.namespace,
				"service_account_uid":         f.account.uid,
				"service_account_secret_name": "",
			}
			return fields{
				"alias metadata":     metadata,
				"alias name":         f.account.uid,
				"lease_duration":     32 * 24 * 60 * 60,
				"metadata":           with(metadata, fields{"role": "app"}),
				"num_uses":           0,
				"orphan":             true,
				"policies":           []string{"app", "default"},
				"renewable":          true,
				"token display_name": "<mount>-" + f.account.namespace + "-app",
				"token path":         "auth/<mount>/login",
				"token_policies":     []string{"app", "default"},
				"token_type":         "service",
			}
		}},
		{name: "wrong audience", token: tokenFor("elsewhere"), status: denied},
		{name: "an audience that is the API server's only", token: tokenFor(), status: denied},
		{name: "the role's audience is one of several", token: tokenFor("a", audience, "b"), status: ok},
		{name: "the role's audience is none of several", token: tokenFor("a", "b"), status: denied},
		{name: "an audience that contains the role's", token: tokenFor(audience + "-2"), status: denied},
		{name: "role without audience, any token", role: noAudience, token: tokenFor("anything"), status: ok},
		{name: "role without audience, the API server's token", role: noAudience, token: tokenFor(), status: ok},
		{name: "role without audience, several audiences", role: noAudience, token: tokenFor("a", "b"), status: ok},
		{name: "role without audience, legacy token", role: noAudience, token: legacyToken, status: ok, want: func(f *fixture) fields {
			return fields{"alias name": f.account.uid, "token_type": "service"}
		}},
		{name: "role with audience, legacy token", token: legacyToken, status: denied},
		{name: "audience of another case", role: always(fields{"audience": "Vault"}), status: denied},
		{name: "audience as a string in the token", status: ok, differs: "audience-string", builtin: failed, token: signed(func(claims fields) { claims["aud"] = audience })},
	}
}

func boundRows() []loginRow {
	names := func(names ...string) func(*fixture) fields {
		return always(fields{"bound_service_account_names": names})
	}
	namespaces := func(namespaces ...string) func(*fixture) fields {
		return always(fields{"bound_service_account_namespaces": namespaces})
	}
	return []loginRow{
		{name: "wrong name", role: names("other"), status: denied, differs: "refusal-wording", builtin: denied},
		{name: "name of another case", role: names("App"), status: denied},
		{name: "name is one of several", role: names("other", "app"), status: ok},
		{name: "any name", role: names("*"), status: ok},
		{name: "name by its beginning", role: names("a*"), status: ok},
		{name: "name by its end", role: names("*pp"), status: ok},
		{name: "name by its middle", role: names("*p*"), status: ok},
		{name: "name by another beginning", role: names("b*"), status: denied},
		{name: "name by a part without wildcard", role: names("ap"), status: denied},
		{name: "name by a question mark", role: names("ap?"), status: denied},
		{name: "wrong namespace", role: namespaces("default"), status: denied, differs: "refusal-wording", builtin: denied},
		{name: "any namespace", role: namespaces("*"), status: ok},
		{name: "namespace by its beginning", role: namespaces("nowhere", "test-*"), status: ok},
		{name: "namespace by another beginning", role: namespaces("prod-*"), status: denied},
		{name: "namespace and name that are right, but not together", status: denied, role: func(f *fixture) fields {
			return fields{"bound_service_account_names": []string{"other"}, "bound_service_account_namespaces": []string{f.account.namespace}}
		}},
	}
}

func selectorRows() []loginRow {
	only := func(selector string) func(*fixture) fields {
		return always(fields{"bound_service_account_namespaces": nil, selectorField: selector})
	}
	team := map[string]string{"team": "a", "tier": "web"}
	return []loginRow{
		{name: "selector in JSON", labels: team, role: only(`{"matchLabels":{"team":"a"}}`), status: ok},
		{name: "selector in YAML", labels: team, role: only("matchLabels:\n  team: a\n  tier: web\n"), status: ok},
		{name: "selector of all namespaces", role: only("{}"), status: ok},
		{name: "selector of another value", labels: team, role: only(`{"matchLabels":{"team":"b"}}`), status: denied},
		{name: "selector of a label that is not there", role: only(`{"matchLabels":{"team":"a"}}`), status: denied},
		{name: "selector of two labels, one wrong", labels: team, role: only(`{"matchLabels":{"team":"a","tier":"db"}}`), status: denied},
		{name: "selector matches and the list does not", labels: team, status: ok,
			role: always(fields{"bound_service_account_namespaces": "default", selectorField: `{"matchLabels":{"team":"a"}}`})},
		{name: "the list matches and the selector does not", status: ok,
			role: always(fields{selectorField: `{"matchLabels":{"team":"b"}}`})},
		{name: "selector matches and the name does not", labels: team, status: denied,
			role: always(fields{"bound_service_account_names": "other", selectorField: `{"matchLabels":{"team":"a"}}`})},
		{name: "matchExpressions", labels: team, status: ok, differs: "match-expressions", builtin: rejectsRole,
			role: only(`{"matchExpressions":[{"key":"team","operator":"In","values":["a","b"]}]}`)},
		{name: "matchExpressions that do not match", labels: team, status: denied, differs: "match-expressions", builtin: rejectsRole,
			role: only(`{"matchExpressions":[{"key":"team","operator":"NotIn","values":["a","b"]}]}`)},
		{name: "selector and a reviewer that may not get namespaces", labels: team, status: denied,
			role: only(`{"matchLabels":{"team":"a"}}`), reviewer: []permission{canReview}},
		{name: "selector that is not needed and a reviewer that may not get namespaces", status: ok,
			role: always(fields{selectorField: `{"matchLabels":{"team":"a"}}`}), reviewer: []permission{canReview}},
		{name: "selector without reviewer, the token may get namespaces", labels: team, status: ok,
			differs: "selector-without-reviewer", builtin: denied,
			role: only(`{"matchLabels":{"team":"a"}}`), config: noReviewer, token: selfReviewing(canReview, canGetNamespaces)},
		{name: "selector without reviewer, the token may not get namespaces", labels: team, status: denied,
			role: only(`{"matchLabels":{"team":"a"}}`), config: noReviewer, token: selfReviewing(canReview)},
	}
}

func aliasRows() []loginRow {
	useAnnotations := always(fields{"use_annotations_as_alias_metadata": true})
	const prefix = "vault.hashicorp.com/alias-metadata-"
	reserved := func(keys string) []string {
		return []string{"entity alias metadata keys for only internal use found" +
			" from the client token's associated service account annotations: keys=" + keys}
	}
	return []loginRow{
		{name: "alias by uid", role: always(fields{"alias_name_source": "serviceaccount_uid"}), status: ok,
			want: func(f *fixture) fields { return fields{"alias name": f.account.uid} }},
		{name: "alias by name", role: always(fields{"alias_name_source": "serviceaccount_name"}), status: ok,
			want: func(f *fixture) fields { return fields{"alias name": f.account.namespace + "/app"} }},
		{name: "annotations are metadata", annotations: map[string]string{prefix + "team": "a", "other": "x"},
			config: useAnnotations, status: ok, want: func(f *fixture) fields {
				return fields{"alias metadata": fields{
					"team":                 "a",
					"service_account_name": "app", "service_account_namespace": f.account.namespace,
					"service_account_uid": f.account.uid, "service_account_secret_name": "",
				}}
			}},
		{name: "annotations that are not asked for", annotations: map[string]string{prefix + "team": "a", prefix + "service_account_uid": "b"}, status: ok},
		{name: "no annotations", config: useAnnotations, status: ok},
		{name: "annotation with a reserved key", annotations: map[string]string{prefix + "service_account_uid": "b", prefix + "team": "a"},
			config: useAnnotations, status: invalid, errors: reserved(`["service_account_uid"]`)},
		{name: "annotation with the reserved key of the secret", annotations: map[string]string{prefix + "service_account_secret_name": "b"},
			config: useAnnotations, status: invalid, errors: reserved(`["service_account_secret_name"]`)},
		{name: "annotation with a key that templated policies may be built on", annotations: map[string]string{prefix + "cluster_name": "b"},
			config: useAnnotations, status: invalid, errors: reserved(`["cluster_name"]`), differs: "reserved-keys", builtin: ok},
		{name: "annotation whose value is a wildcard of policies", annotations: map[string]string{prefix + "team": "+", prefix + "kept": "a"},
			config: useAnnotations, status: ok, differs: "metadata-values", builtin: ok, want: func(f *fixture) fields {
				return fields{"alias metadata": fields{
					"kept":                 "a",
					"service_account_name": "app", "service_account_namespace": f.account.namespace,
					"service_account_uid": f.account.uid, "service_account_secret_name": "",
				}}
			}},
		{name: "annotation that Vault does not take as metadata", annotations: map[string]string{prefix + "a.b": "a"},
			config: useAnnotations, status: ok, differs: "metadata-values", builtin: failed},
		{name: "annotations and a reviewer that may not get service accounts", status: denied, differs: "lookup-forbidden", builtin: failed,
			reviewer: []permission{canReview}, config: useAnnotations},
		{name: "annotations without reviewer, the token may get service accounts", status: ok,
			annotations: map[string]string{prefix + "team": "a"}, token: selfReviewing(canReview, canGetServiceAccounts),
			role:   always(fields{"audience": nil}),
			config: always(fields{"token_reviewer_jwt": nil, "use_annotations_as_alias_metadata": true})},
		{name: "alias_metadata of the role", role: always(fields{"alias_metadata": fields{"team": "a"}}), status: ok,
			differs: "alias-metadata", builtin: ok, want: always(fields{"alias custom_metadata": fields{"team": "a"}})},
	}
}

func addressRows() []loginRow {
	cidrs := func(list ...string) func(*fixture) fields { return always(fields{"token_bound_cidrs": list}) }
	return []loginRow{
		{name: "source address is bound", role: cidrs("127.0.0.0/8"), status: ok, want: always(fields{"token bound_cidrs": []string{"127.0.0.0/8"}})},
		{name: "source address is one of several", role: cidrs("10.0.0.1", "127.0.0.1"), status: ok},
		{name: "source address is elsewhere", role: cidrs("10.0.0.0/8"), status: denied},
		{name: "source address is elsewhere, deprecated field", role: always(fields{"bound_cidrs": "10.0.0.0/8"}), status: denied},
		{name: "source address is elsewhere and the token is garbage", role: cidrs("10.0.0.0/8"), status: denied,
			token: func(*fixture) string { return "garbage" }},
	}
}

// settingRows are about the settings of the token that is issued.
func settingRows() []loginRow {
	setting := func(name string, role, want fields) loginRow {
		return loginRow{name: name, role: always(role), status: ok, want: always(want)}
	}
	return []loginRow{
		setting("ttl", fields{"token_ttl": 600}, fields{"lease_duration": 600, "token creation_ttl": 600}),
		setting("ttl, deprecated field", fields{"ttl": "10m"}, fields{"lease_duration": 600}),
		setting("ttl beyond the mount's", fields{"token_ttl": "800h"}, fields{"lease_duration": 768 * 3600}),
		setting("max_ttl", fields{"token_max_ttl": 1200}, fields{"lease_duration": 1200}),
		setting("max_ttl, deprecated field", fields{"max_ttl": 1200}, fields{"lease_duration": 1200}),
		setting("ttl and max_ttl", fields{"token_ttl": 600, "token_max_ttl": 1200}, fields{"lease_duration": 600}),
		setting("explicit_max_ttl", fields{"token_explicit_max_ttl": 900}, fields{"lease_duration": 900, "token explicit_max_ttl": 900}),
		setting("period", fields{"token_period": 300}, fields{"lease_duration": 300, "token period": 300}),
		setting("period, deprecated field", fields{"period": 300}, fields{"lease_duration": 300, "token period": 300}),
		setting("period and explicit_max_ttl", fields{"token_period": 300, "token_explicit_max_ttl": 900},
			fields{"lease_duration": 300, "token period": 300, "token explicit_max_ttl": 900}),
		setting("num_uses", fields{"token_num_uses": 3}, fields{"num_uses": 3, "token num_uses": 3}),
		setting("num_uses, deprecated field", fields{"num_uses": 3}, fields{"num_uses": 3}),
		setting("policies", fields{"token_policies": []string{"b", "a"}}, fields{"policies": []string{"a", "b", "default"}}),
		setting("policies, deprecated field", fields{"token_policies": nil, "policies": "b,a"}, fields{"policies": []string{"a", "b", "default"}}),
		setting("no policies", fields{"token_policies": nil}, fields{"policies": []string{"default"}}),
		setting("no_default_policy", fields{"token_no_default_policy": true}, fields{"policies": []string{"app"}}),
		setting("no policy at all", fields{"token_no_default_policy": true, "token_policies": nil}, fields{"policies": []string{}}),
		setting("type service", fields{"token_type": "service"}, fields{"token_type": "service", "token type": "service"}),
		setting("type default", fields{"token_type": "default"}, fields{"token_type": "service"}),
		setting("type batch", fields{"token_type": "batch", "token_ttl": 600},
			fields{"token_type": "batch", "token type": "batch", "renewable": false, "orphan": true, "lease_duration": 600}),
		setting("everything", fields{
			"token_ttl": 300, "token_max_ttl": 600, "token_explicit_max_ttl": 900, "token_num_uses": 9, "token_no_default_policy": true,
			"token_type": "service", "token_bound_cidrs": "127.0.0.1/32",
		}, fields{
			"lease_duration": 300, "token explicit_max_ttl": 900, "num_uses": 9, "policies": []string{"app"},
			"token_type": "service", "token bound_cidrs": []string{"127.0.0.1"},
		}),
	}
}
