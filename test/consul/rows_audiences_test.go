package consul

// audienceRows are about tokens that were made for somebody else. Neither side names an
// audience to the API server, which then takes only those for its own.
var audienceRows = []row{
	{"a token for another audience", rules(service("", "${serviceaccount.name}"), role("", "ops")), logins{
		as("prod/web", "role=ops service=web"),
		as("prod/web for a cloud", notForIt),
		as("prod/web for vault", notForIt),
		as("prod/web for cloud and us", "role=ops service=web"),
	}},
	{"a token for another audience, and a policy", rules(policy("", "ops"), policy(`serviceaccount.name == "web"`, "web")), logins{
		as("prod/web for a cloud", notForIt),
		as("prod/web for cloud and us", "policy=ops policy=web"),
	}},
}
