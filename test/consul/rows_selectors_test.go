package consul

// selectorRows are about which rules match.
var selectorRows = []row{
	{"an empty selector matches everyone", rules(service("", "all")), logins{
		as("prod/web", "service=all"),
		as("staging/batch", "service=all"),
	}},
	{"equal name", rules(service(`serviceaccount.name == "web"`, "x")), logins{
		as("prod/web", "service=x"),
		as("staging/web", "service=x"),
		as("prod/web-frontend", nothing), // not a prefix
		as("prod/api", nothing),
	}},
	{"equal namespace", rules(service(`serviceaccount.namespace == "prod"`, "x")), logins{
		as("prod/web", "service=x"),
		as("staging/web", nothing),
	}},
	{"equal uid", rules(service(`serviceaccount.uid == "{uid prod/web}"`, "x")), logins{
		as("prod/web", "service=x"),
		as("staging/web", nothing),
	}},
	{"values are compared with their case", rules(service(`serviceaccount.name == "Web"`, "x")), logins{
		as("prod/web", nothing),
	}},
	{"not equal", rules(service(`serviceaccount.name != "web"`, "x")), logins{
		as("prod/api", "service=x"),
		as("prod/web", nothing),
	}},
	{"in is part of", rules(service(`"eb" in serviceaccount.name`, "x")), logins{
		as("prod/web", "service=x"),
		as("prod/web-frontend", "service=x"),
		as("prod/api", nothing),
	}},
	{"in with the whole value", rules(service(`"prod" in serviceaccount.namespace`, "x")), logins{
		as("prod/web", "service=x"),
		as("staging/web", nothing),
	}},
	{"the empty text is part of every value", rules(service("`` in serviceaccount.name", "x")), logins{
		as("prod/web", "service=x"),
	}},
	{"not in", rules(service(`"eb" not in serviceaccount.name`, "x")), logins{
		as("prod/api", "service=x"),
		as("prod/web", nothing),
	}},
	{"contains", rules(service(`serviceaccount.name contains "front"`, "x")), logins{
		as("prod/web-frontend", "service=x"),
		as("prod/web", nothing),
	}},
	{"not contains", rules(service(`serviceaccount.name not contains "front"`, "x")), logins{
		as("prod/web-frontend", nothing),
		as("prod/web", "service=x"),
	}},
	{"matches anywhere", rules(service(`serviceaccount.name matches "e.-f"`, "x")), logins{
		as("prod/web-frontend", "service=x"),
		as("prod/web", nothing),
	}},
	{"matches between anchors", rules(service(`serviceaccount.name matches "^web$"`, "x")), logins{
		as("prod/web", "service=x"),
		as("prod/web-frontend", nothing),
	}},
	{"anchors bind tighter than alternatives", rules(service(`serviceaccount.name matches "^batch|web$"`, "x")), logins{
		as("prod/web", "service=x"),
		as("staging/batch", "service=x"),
		as("prod/web-frontend", nothing),
	}},
	{"matches with flags", rules(service(`serviceaccount.name matches "(?i)^WEB$"`, "x")), logins{
		as("prod/web", "service=x"),
	}},
	{"a dot matches any character", rules(service(`serviceaccount.name matches "^web.v1$"`, "x")), logins{
		as("prod/web.v1", "service=x"),
	}},
	{"a backslash in backquotes", rules(service("serviceaccount.name matches `^web\\.v\\d$`", "x")), logins{
		as("prod/web.v1", "service=x"),
		as("prod/web", nothing),
	}},
	{"a backslash in double quotes is doubled", rules(service(`serviceaccount.name matches "^web\\.v\\d$"`, "x")), logins{
		as("prod/web.v1", "service=x"),
		as("prod/web", nothing),
	}},
	{"an empty regular expression matches", rules(service("serviceaccount.name matches ``", "x")), logins{
		as("prod/web", "service=x"),
	}},
	{"not matches", rules(service(`serviceaccount.name not matches "^web"`, "x")), logins{
		as("prod/api", "service=x"),
		as("prod/web-frontend", nothing),
	}},
	{"and", rules(service(`serviceaccount.name == "web" and serviceaccount.namespace == "prod"`, "x")), logins{
		as("prod/web", "service=x"),
		as("staging/web", nothing),
		as("prod/api", nothing),
	}},
	{"or", rules(service(`serviceaccount.name == "web" or serviceaccount.namespace == "prod"`, "x")), logins{
		as("staging/web", "service=x"),
		as("prod/api", "service=x"),
		as("staging/batch", nothing),
	}},
	{"and binds tighter than or", rules(service(
		`serviceaccount.name == "api" or serviceaccount.name == "web" and serviceaccount.namespace == "staging"`, "x")), logins{
		as("prod/api", "service=x"),
		as("staging/web", "service=x"),
		as("prod/web", nothing),
	}},
	{"parentheses bind tighter than and", rules(service(
		`(serviceaccount.name == "api" or serviceaccount.name == "web") and serviceaccount.namespace == "staging"`, "x")), logins{
		as("staging/web", "service=x"),
		as("prod/api", nothing),
	}},
	{"not binds tighter than and", rules(service(
		`not serviceaccount.name == "web" and serviceaccount.namespace == "prod"`, "x")), logins{
		as("prod/api", "service=x"),
		as("prod/web", nothing),
		as("staging/batch", nothing),
	}},
	{"not before parentheses", rules(service(
		`not (serviceaccount.name == "web" or serviceaccount.namespace == "prod")`, "x")), logins{
		as("staging/batch", "service=x"),
		as("staging/web", nothing),
		as("prod/api", nothing),
	}},
	{"not not", rules(service(`not not serviceaccount.name == "web"`, "x")), logins{
		as("prod/web", "service=x"),
		as("prod/api", nothing),
	}},
	{"parentheses in parentheses", rules(service(
		`( ( serviceaccount.name == "web" ) and ( not ( serviceaccount.namespace == "prod" ) ) )`, "x")), logins{
		as("staging/web", "service=x"),
		as("prod/web", nothing),
	}},
	{"all three attributes", rules(service(
		`serviceaccount.namespace == "prod" and serviceaccount.name == "web" and serviceaccount.uid == "{uid prod/web}"`, "x")), logins{
		as("prod/web", "service=x"),
		as("staging/web", nothing),
	}},
	{"a value in backquotes", rules(service("serviceaccount.name == `web-frontend`", "x")), logins{
		as("prod/web-frontend", "service=x"),
		as("prod/web", nothing),
	}},
	{"a value without quotes", rules(service(`serviceaccount.name == web`, "x")), logins{
		as("prod/web", "service=x"),
		as("prod/api", nothing),
	}},
	{"a value with a dot and without quotes", rules(service(`serviceaccount.name == web.v1`, "x")), logins{
		as("prod/web.v1", "service=x"),
		as("prod/web", nothing),
	}},
	{"a number as a value", rules(service(`serviceaccount.name == 1`, "x")), logins{
		as("prod/1", "service=x"),
		as("prod/web", nothing),
	}},
	{"escapes in double quotes", rules(service(`serviceaccount.name == "\x77\u0065b"`, "x")), logins{
		as("prod/web", "service=x"),
	}},
	{"no escapes in backquotes", rules(service("serviceaccount.name == `\\x77eb`", "x")), logins{
		as("prod/web", nothing),
	}},
	{"an attribute in brackets", rules(service(`serviceaccount["name"] == "web"`, "x")), logins{
		as("prod/web", "service=x"),
		as("prod/api", nothing),
	}},
	{"no space around the operator", rules(service(`serviceaccount.name=="web"`, "x")), logins{
		as("prod/web", "service=x"),
		as("prod/api", nothing),
	}},
	{"tabs and line breaks", rules(service("\n\tserviceaccount.name\n==\t\"web\"\r\n  and\nserviceaccount.namespace == prod\n", "x")), logins{
		as("prod/web", "service=x"),
		as("staging/web", nothing),
	}},
	{"a value with spaces at its ends", rules(service(`serviceaccount.name == " web "`, "x")), logins{
		as("prod/web", nothing),
	}},
	{"a value of nothing but slashes and text", rules(service(`serviceaccount.name != "/web"`, "x")), logins{
		as("prod/web", "service=x"),
	}},
	{"the empty value", rules(service(`serviceaccount.name != ""`, "x")), logins{
		as("prod/web", "service=x"),
	}},
	{"equal and not equal", rules(service(`serviceaccount.name == "web" and serviceaccount.name != "web"`, "x")), logins{
		as("prod/web", nothing),
	}},
}

// joinRows are about what several rules give together.
var joinRows = []row{
	{"no rules", nil, logins{as("prod/web", nothing)}},
	{"no rule matches", rules(
		service(`serviceaccount.name == "api"`, "x"),
		role(`serviceaccount.namespace == "staging"`, "ops"),
	), logins{as("prod/web", nothing)}},
	{"matching rules join", rules(
		service(`serviceaccount.name == "web"`, "x"),
		service(`serviceaccount.namespace == "prod"`, "y"),
		service(`serviceaccount.name == "api"`, "z"),
	), logins{
		as("prod/web", "service=x service=y"),
		as("prod/api", "service=y service=z"),
		as("staging/web", "service=x"),
	}},
	{"the same name twice", rules(
		service("", "x"), service(`serviceaccount.name == "web"`, "x"), service("", "${serviceaccount.name}"), service("", "web"),
	), logins{
		as("prod/web", "service=web service=x"),
	}},
	{"the same role and policy twice", rules(
		role("", "ops"), role("", "ops"), policy("", "ops"), policy("", "ops"),
	), logins{
		as("prod/web", "policy=ops role=ops"),
	}},
	{"the same name in each type", rules(
		service("", "web"), node("", "web"), role("", "web"), policy("", "web"),
	), logins{
		as("prod/api", "node=web policy=web role=web service=web"),
	}},
	{"services are sorted", rules(
		service("", "c"), service("", "a"), service("", "b"),
	), logins{
		as("prod/web", "service=a service=b service=c"),
	}},
	{"several nodes", rules(
		node("", "n2"), node("", "n1"), node(`serviceaccount.name == "api"`, "n3"),
	), logins{
		as("prod/web", "node=n1 node=n2"),
	}},
	{"a role that exists", rules(role("", "ops")), logins{as("prod/web", "role=ops")}},
	{"a role that does not exist", rules(role("", "no-such-role")), logins{as("prod/web", nothing)}},
	{"a missing role is skipped", rules(
		role("", "no-such-role"), role("", "ops"), service("", "x"),
	), logins{
		as("prod/web", "role=ops service=x"),
	}},
	{"the role of each name", rules(role("", "${serviceaccount.name}")), logins{
		as("prod/web", "role=web"),
		as("prod/api", "role=api"),
		as("staging/batch", nothing),
	}},
	{"an invalid name fails the whole login", rules(
		service("", "${serviceaccount.name}"), service("", "x"), role("", "ops"), policy("", "ops"),
	), logins{
		as("prod/web", "policy=ops role=ops service=web service=x"),
		as("prod/web.v1", badName),
	}},
	{"an invalid name of a rule that does not match is no matter", rules(
		service(`serviceaccount.name != "web.v1"`, "${serviceaccount.name}"), service("", "x"),
	), logins{
		as("prod/web.v1", "service=x"),
	}},
	{"one account, all rules; another, none", rules(
		service(`serviceaccount.namespace == "prod"`, "${serviceaccount.name}"),
		node(`serviceaccount.namespace == "prod"`, "${serviceaccount.namespace}-node"),
		role(`serviceaccount.namespace == "prod"`, "ops"),
		policy(`serviceaccount.namespace == "prod"`, "web_reader"),
	), logins{
		as("prod/api", "node=prod-node policy=web_reader role=ops service=api"),
		as("staging/web", nothing),
	}},
}
