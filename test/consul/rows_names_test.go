package consul

import "strings"

// nameRows are about how names are made and checked.
var nameRows = []row{
	{"the name", rules(service("", "${serviceaccount.name}")), logins{
		as("prod/web", "service=web"),
		as("prod/1", "service=1"),
		as("dev-1/a", "service=a"),
	}},
	{"the namespace", rules(service("", "${serviceaccount.namespace}")), logins{
		as("prod/web", "service=prod"),
		as("dev-1/a", "service=dev-1"),
	}},
	{"the uid", rules(service("", "u-${serviceaccount.uid}")), logins{
		as("prod/web", "service=u-{uid prod/web}"),
	}},
	{"several attributes in a name", rules(service("", "${serviceaccount.namespace}-${serviceaccount.name}")), logins{
		as("prod/web", "service=prod-web"),
		as("staging/batch", "service=staging-batch"),
	}},
	{"an attribute twice, with text around", rules(node("", "n_${serviceaccount.name}${serviceaccount.name}_n")), logins{
		as("prod/web", "node=n_webweb_n"),
	}},
	{"spaces within the braces", rules(service("", "${ serviceaccount.name }")), logins{
		as("prod/web", "service=web"),
	}},
	{"underscores and hyphens", rules(service("", "a_b-c__d--e"), node("", "a_b-c__d--e")), logins{
		as("prod/web", "node=a_b-c__d--e service=a_b-c__d--e"),
	}},
	{"one character", rules(service("", "s"), node("", "1")), logins{
		as("prod/web", "node=1 service=s"),
	}},
	{"a role for each name", rules(role("", "${serviceaccount.namespace}_${serviceaccount.name}_1")), logins{
		as("prod/web", "role=prod_web_1"),
		as("prod/api", nothing),
	}},
	{"a policy for each name", rules(policy("", "${serviceaccount.namespace}-${serviceaccount.name}")), logins{
		as("prod/web", "policy=prod-web"),
		asDiffers("policies-need-not-exist", "prod/api", nothing, "policy=prod-api"),
	}},
	{"a dot in a service's name", rules(service("", "${serviceaccount.name}")), logins{as("prod/web.v1", badName)}},
	{"a dot in a node's name", rules(node("", "${serviceaccount.name}")), logins{as("prod/web.v1", badName)}},
	{"a dot in a role's name", rules(role("", "${serviceaccount.name}"), policy("", "ops")), logins{
		asDiffers("role-dots", "prod/web.v1", badName, "policy=ops"),
	}},
	{"a dot in a policy's name", rules(policy("", "${serviceaccount.name}")), logins{
		asDiffers("policy-names", "prod/web.v1", badName, "policy=web.v1"),
	}},
	{"the longest service", rules(service("", strings.Repeat("s", longest))), logins{
		as("prod/web", outcome("service="+strings.Repeat("s", longest))),
	}},
	{"the longest node", rules(node("", strings.Repeat("n", longest))), logins{
		as("prod/web", outcome("node="+strings.Repeat("n", longest))),
	}},
	{"a long role", rules(role("", longRole)), logins{
		as("prod/web", "role="+longRole),
	}},
	{"the longest policy", rules(policy("", strings.Repeat("p", 128))), logins{
		as("prod/web", outcome("policy="+strings.Repeat("p", 128))),
	}},
	{"a service that gets too long", rules(service("", strings.Repeat("s", longest-50)+"${serviceaccount.name}")), logins{
		as("prod/web", outcome("service="+strings.Repeat("s", longest-50)+"web")),
		as(fifty, outcome("service="+strings.Repeat("s", longest-50)+fiftyName)),
	}},
	{"a service that gets too long by one", rules(service("", strings.Repeat("s", longest-49)+"${serviceaccount.name}")), logins{
		as("prod/web", outcome("service="+strings.Repeat("s", longest-49)+"web")),
		as(fifty, badName),
	}},
	{"a node that gets too long by one", rules(node("", strings.Repeat("n", longest-49)+"${serviceaccount.name}")), logins{
		as(fifty, badName),
	}},
	{"a role that gets too long by one", rules(service("", "x"), role("", strings.Repeat("n", longest-49)+"${serviceaccount.name}")), logins{
		as("prod/web", "service=x"), // the name is valid, and no role has it
		as(fifty, badName),
	}},
	{"several long services", rules(
		service("", strings.Repeat("a", longest)), service("", strings.Repeat("b", longest)), service("", strings.Repeat("c", longest)),
	), logins{
		asDiffers("metadata-length", "prod/web", outcome("service="+strings.Repeat("a", longest)+
			" service="+strings.Repeat("b", longest)+" service="+strings.Repeat("c", longest)), refusedByPlugin),
	}},
	{"a text as an interpolation", rules(service("", `${"abc"}-${serviceaccount.name}`)), logins{
		as("prod/web", "service=abc-web"),
	}},
	{"a role in another case", rules(role("", "OPS"), role("", "Ops"), role("", "PROD-${serviceaccount.name}")), logins{
		as("prod/web", "role=ops role=prod-web"),
	}},
	{"a role with a hyphen at its end", rules(role("", "ops-"), role("", "-"), role("", "ops")), logins{
		asDiffers("role-edges", "prod/web", "role=- role=ops role=ops-", "role=ops"),
	}},
	{"a role with bounds of its own", rules(role("", "staging-only"), role("", "ops")), logins{
		as("staging/web", "role=ops role=staging-only"),
		asDiffers("role-bounds", "prod/web", "role=ops role=staging-only", "role=ops"),
	}},
	{"a policy with a slash", rules(policy("", "team/web"), policy("", "ops")), logins{
		asDiffers("policy-names", "prod/web", badName, "policy=ops policy=team/web"),
	}},
	{"a policy without interpolation", rules(policy("", "Mixed"), service("", "x")), logins{
		asDiffers("policy-case", "prod/web", "policy=Mixed service=x", "policy=mixed service=x"),
	}},
	{"policies that do not exist", rules(policy("", "no-such-policy"), policy("", "ops")), logins{
		asDiffers("policies-need-not-exist", "prod/web", "policy=ops", "policy=no-such-policy policy=ops"),
	}},
}

// annotationRows are about Consul's annotation, by which a service account goes
// by another name.
var annotationRows = []row{
	{"the annotation replaces the name in names", rules(
		service("", "${serviceaccount.name}"), node("", "${serviceaccount.namespace}-${serviceaccount.name}"),
		role("", "${serviceaccount.name}"), policy("", "${serviceaccount.name}"),
	), logins{
		as("prod/payments-sa", "node=prod-payments policy=payments role=payments service=payments"),
	}},
	{"the annotation replaces the name in selectors", rules(
		service(`serviceaccount.name == "payments"`, "annotation"), service(`serviceaccount.name == "payments-sa"`, "name"),
	), logins{
		as("prod/payments-sa", "service=annotation"),
	}},
	{"the namespace and the uid remain", rules(
		service(`serviceaccount.namespace == "prod" and serviceaccount.uid == "{uid prod/payments-sa}"`, "x"),
	), logins{
		as("prod/payments-sa", "service=x"),
	}},
	{"an account with another's name for an annotation", rules(
		service(`serviceaccount.name == "web"`, "${serviceaccount.name}"), role(`serviceaccount.name == "web"`, "${serviceaccount.name}"),
	), logins{
		as("staging/web", "role=web service=web"),
		as("staging/impostor", "role=web service=web"),
	}},
	{"an annotation with an underscore", rules(service("", "${serviceaccount.name}")), logins{
		as("prod/underscore", "service=pay_ments"),
	}},
	{"an annotation that is no name", rules(service("", "${serviceaccount.name}")), logins{
		as("prod/phrase", badName),
	}},
	{"an annotation that is no name, in a selector", rules(service(`serviceaccount.name matches "^pay .*!$"`, "x")), logins{
		as("prod/phrase", "service=x"),
		as("prod/payments-sa", nothing),
	}},
	{"the longest annotation", rules(service("", "${serviceaccount.name}")), logins{
		as("prod/longest", outcome("service="+strings.Repeat("l", longest))),
		as("prod/too-long", badName),
	}},
	{"an annotation that is longer than any name", rules(service("", "${serviceaccount.name}")), logins{
		asDiffers("long-annotation", "prod/huge", badName, "service=huge"),
	}},
	{"an annotation with upper-case letters, in names", rules(service("", "${serviceaccount.name}")), logins{
		asDiffers("uppercase-refused", "prod/upper", "service=payments", badName),
	}},
	{"an annotation with upper-case letters, in a role's name", rules(role("", "${serviceaccount.name}")), logins{
		asDiffers("uppercase-refused", "prod/upper", "role=payments", badName),
	}},
	{"an annotation with upper-case letters, in selectors", rules(
		service(`serviceaccount.name == "Payments"`, "as-written"), service(`serviceaccount.name == "payments"`, "lower-case"),
	), logins{
		as("prod/upper", "service=as-written"),
	}},
	{"an annotation with upper-case letters, not mentioned", rules(service("", "${serviceaccount.namespace}")), logins{
		as("prod/upper", "service=prod"),
	}},
	{"an empty annotation, in names", rules(service("", "${serviceaccount.name}")), logins{
		asDiffers("empty-annotation", "prod/blank", badName, "service=blank"),
	}},
	{"an empty annotation, beside text", rules(service("", "a${serviceaccount.name}")), logins{
		asDiffers("empty-annotation", "prod/blank", "service=a", "service=ablank"),
	}},
	{"an empty annotation, in selectors", rules(
		service("serviceaccount.name == ``", "empty"), service(`serviceaccount.name == "blank"`, "blank"),
	), logins{
		asDiffers("empty-annotation", "prod/blank", "service=empty", "service=blank"),
	}},
	{"another annotation", rules(service("", "${serviceaccount.name}")), logins{
		as("prod/other-note", "service=other-note"),
	}},
}
