package e2e

// tokenDiagnoses are about logins that a mount which works refuses: check has nothing
// to say, and explain names the step.
func tokenDiagnoses() []diagnosis {
	denied := func(name, step string, role func(*fixture) fields, token func(*fixture) string) diagnosis {
		return diagnosis{name: name, step: step, verdict: explainDenied, role: role, token: token}
	}
	return []diagnosis{
		denied("wrong audience", "unverified claims", nil, tokenFor("elsewhere")),
		denied("Bearer before the token", "token form", nil, func(f *fixture) string {
			return "Bearer " + f.cluster.newToken(f.t, f.account, audience)
		}),
		denied("issued for longer than the role takes", "unverified claims", always(fields{"max_token_lifetime": "10m"}), nil),
		denied("not of a pod", "unverified claims", always(fields{"require_pod_bound_tokens": true}), nil),
		denied("token of another cluster", "token review", nil, func(f *fixture) string {
			other := secondCluster(f.t)
			return other.newToken(f.t, other.newAccount(f.t, "", "app", nil), audience)
		}),
		denied("service account deleted", "token review", nil, func(f *fixture) string {
			token := f.cluster.newToken(f.t, f.account, audience)
			f.cluster.deleteAccount(f.t, f.account)
			return token
		}),
		denied("pod deleted", "token review", nil, func(f *fixture) string {
			token, pod := f.cluster.newPodToken(f.t, f.account)
			f.cluster.deletePod(f.t, f.account, pod)
			return token
		}),
		denied("name not bound", "service account name", always(fields{"bound_service_account_names": "other"}), nil),
		denied("namespace not bound", "namespace", always(fields{"bound_service_account_namespaces": "other"}), nil),
		denied("namespace selector is false", "namespace",
			always(fields{"bound_service_account_namespaces": nil, selectorField: `{"matchLabels":{"team":"a"}}`}), nil),
		denied("selector is false", "selector", always(fields{"selector": `pod.name matches "^runner-"`}), nil),
		{
			name: "rule with an invalid computed name", step: "binding rules", verdict: explainDenied,
			// A token that is bound to no pod has no pod's name.
			rules: map[string][3]string{"pods": {"", "policy", "pod-${pod.name}"}},
			finds: []found{{"binding_rules", "warn", `binding rule "pods": bind_name takes pod.name`, "selector='pod.name is not empty'"}},
		},
		{
			name: "wrong audience by rules", step: "unverified claims", verdict: explainDenied,
			rules: map[string][3]string{"all": {"", "policy", "all"}}, token: tokenFor("elsewhere"),
		},
		{
			name: "audience that nobody named for rules", step: "token review", verdict: explainDenied,
			config: always(fields{"binding_rule_audiences": ""}),
			rules:  map[string][3]string{"all": {"", "policy", "all"}},
		},
		{
			name: "not for the role that rules go through", step: "binding rule role", verdict: explainDenied,
			config: always(fields{"binding_rule_role": "app"}), role: always(fields{"bound_service_account_names": "other"}),
			rules: map[string][3]string{"all": {"", "policy", "all"}},
		},
		{
			name: "not for the role that stands for the rules", step: "binding rule role", verdict: explainDenied, byName: true,
			role:  always(fields{"use_binding_rules": true, "token_policies": nil, "bound_service_account_names": "other"}),
			rules: map[string][3]string{"all": {"", "policy", "all"}},
		},
		{
			name: "rules that grant nothing", step: "binding rules", verdict: explainDenied,
			rules: map[string][3]string{"pods": {`serviceaccount.name == "other"`, "policy", "other"}},
		},
	}
}
