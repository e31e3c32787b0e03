package e2e

import (
	"net"
	"strings"
	"testing"
)

func noReviewer(*fixture) fields { return fields{"token_reviewer_jwt": nil} }

// selfReviewing is a token that the API server takes as a credential too, of a
// service account that has the given permissions.
func selfReviewing(permissions ...permission) func(*fixture) string {
	return func(f *fixture) string {
		if err := f.cluster.allow(f.t.Context(), f.account, permissions...); err != nil {
			f.t.Fatal(err)
		}
		return f.cluster.newToken(f.t, f.account, audience, f.cluster.Issuer)
	}
}

// certificateOf is a reviewer that one cluster knows by a certificate.
func certificateOf(c func(testing.TB) *cluster) func(f *fixture) fields {
	return func(f *fixture) fields { return c(f.t).certified.config() }
}

func reviewerRows() []loginRow {
	return []loginRow{
		{name: "reviewer that may only review", reviewer: []permission{canReview}, status: ok},
		{name: "reviewer that may not review", reviewer: []permission{}, status: denied},
		{name: "reviewer that is revoked", status: denied, config: func(f *fixture) fields {
			reviewer, token := f.cluster.newReviewer(f.t, canReview)
			f.cluster.deleteAccount(f.t, reviewer)
			return fields{"token_reviewer_jwt": token}
		}},
		{name: "reviewer that is garbage", config: always(fields{"token_reviewer_jwt": "garbage"}), status: denied},
		{name: "reviewer with a line break", status: ok, config: func(f *fixture) fields {
			return fields{"token_reviewer_jwt": f.cluster.reviewer + "\n"}
		}},
		{name: "reviewer for another audience", status: denied, config: func(f *fixture) fields {
			reviewer, _ := f.cluster.newReviewer(f.t, canReview)
			return fields{"token_reviewer_jwt": f.cluster.newToken(f.t, reviewer, "elsewhere")}
		}},
		{name: "another cluster's reviewer", status: denied, config: func(f *fixture) fields {
			return fields{"token_reviewer_jwt": secondCluster(f.t).reviewer}
		}},
		{name: "reviewer known by a certificate", config: certificateOf(mainCluster), status: ok, builtin: denied, differs: "added-settings"},
		{name: "another cluster's certificate", config: certificateOf(secondCluster), status: denied},
		{name: "no reviewer, the token may review itself", config: noReviewer, token: selfReviewing(canReview), status: ok},
		{name: "no reviewer, the token may not review itself", config: noReviewer, token: selfReviewing(), status: denied},
		{name: "no reviewer, the token is not for the API server", config: noReviewer, status: denied},
		{name: "no reviewer, garbage", config: noReviewer, token: func(*fixture) string { return "garbage" }, status: denied},
		{name: "no reviewer, legacy token that may review itself", config: noReviewer, role: always(fields{"audience": nil}), status: ok,
			token: func(f *fixture) string {
				if err := f.cluster.allow(f.t.Context(), f.account, canReview); err != nil {
					f.t.Fatal(err)
				}
				return f.cluster.newLegacyToken(f.t, f.account)
			}},
	}
}

func keyRows() []loginRow {
	keys := func(pick func(f *fixture) []string) func(*fixture) fields {
		return func(f *fixture) fields { return fields{"pem_keys": pick(f)} }
	}
	return []loginRow{
		{name: "pem_keys has the key", status: ok, config: keys(func(f *fixture) []string { return []string{f.cluster.SigningPublicKeyPEM} })},
		{name: "pem_keys has the key among others", status: ok, config: keys(func(f *fixture) []string {
			return []string{pemFixtures().ecdsa, pemFixtures().certificate, f.cluster.SigningPublicKeyPEM}
		})},
		{name: "pem_keys has another key", status: denied, config: keys(func(*fixture) []string { return []string{pemFixtures().rsa} })},
		{name: "pem_keys has a key of another kind", status: denied, config: keys(func(*fixture) []string { return []string{pemFixtures().ecdsa} })},
		{name: "pem_keys has the key, which signed for someone who is gone", status: denied,
			config: keys(func(f *fixture) []string { return []string{f.cluster.SigningPublicKeyPEM} }),
			token: func(f *fixture) string {
				token := f.cluster.newToken(f.t, f.account, audience)
				f.cluster.deleteAccount(f.t, f.account)
				return token
			}},
	}
}

func issuerRows() []loginRow {
	validated := func(issuer any) func(*fixture) fields {
		return always(fields{"disable_iss_validation": false, "issuer": issuer})
	}
	noAudience := always(fields{"audience": nil})
	return []loginRow{
		{name: "issuer is right", status: ok, config: func(f *fixture) fields { return validated(f.cluster.Issuer)(f) }},
		{name: "issuer is wrong", status: denied, config: validated("https://elsewhere")},
		{name: "issuer is one of several", status: ok, differs: "issuers", builtin: denied,
			config: func(f *fixture) fields { return validated("https://elsewhere, " + f.cluster.Issuer)(f) }},
		{name: "issuer is none of several", status: denied, config: validated("https://elsewhere,https://nowhere")},
		{name: "issuer is wrong by a slash", status: denied, config: func(f *fixture) fields { return validated(f.cluster.Issuer + "/")(f) }},
		{name: "issuer is wrong and not validated", status: ok, config: always(fields{"issuer": "https://elsewhere"})},
		{name: "issuer is the default, legacy token", status: ok, config: validated(nil), role: noAudience, token: legacyToken},
		{name: "issuer is the default, projected token", status: denied, config: validated(nil), differs: "default-issuer", builtin: ok},
	}
}

// outageRows are about API servers that cannot be asked.
func outageRows() []loginRow {
	host := func(host func(f *fixture) string) func(*fixture) fields {
		return func(f *fixture) fields { return fields{"kubernetes_host": host(f)} }
	}
	unreachable := func(name string, config func(*fixture) fields) loginRow {
		return loginRow{name: name, config: config, status: unavailable, differs: "outage-5xx", builtin: denied}
	}
	rows := []loginRow{
		{name: "host with a slash", status: ok, config: host(func(f *fixture) string { return f.cluster.Host + "/" })},
		{name: "host without scheme", status: ok, differs: "bare-host", builtin: denied,
			config: host(func(f *fixture) string { return strings.TrimPrefix(f.cluster.Host, "https://") })},
		unreachable("nothing listens", host(func(f *fixture) string { return "https://" + closedPort(f.t) })),
		unreachable("host that does not resolve", host(func(*fixture) string { return "https://kubernetes-.invalid" })),
		unreachable("plain HTTP to a TLS port", host(func(f *fixture) string { return "http://" + strings.TrimPrefix(f.cluster.Host, "https://") })),
		{name: "path that the reviewer may not post to", status: denied, config: host(func(f *fixture) string { return f.cluster.Host + "/elsewhere" })},
		unreachable("host that is no API server", host(func(*fixture) string { return bed.Vault.Addr })),
		unreachable("another CA", func(f *fixture) fields { return fields{"kubernetes_ca_cert": secondCluster(f.t).CAPEM} }),
		unreachable("another host", host(func(f *fixture) string { return secondCluster(f.t).Host })),
		unreachable("system roots", always(fields{"kubernetes_ca_cert": nil})),
		{name: "another cluster", status: denied, config: func(f *fixture) fields { return secondCluster(f.t).config() }},
		{name: "another cluster and no reviewer", status: denied, token: selfReviewing(canReview), config: func(f *fixture) fields {
			config := secondCluster(f.t).config()
			config["token_reviewer_jwt"] = nil
			return config
		}},
		// What can be refused without asking is refused.
		{name: "nothing listens, garbage", status: denied, token: func(*fixture) string { return "garbage" },
			config: host(func(f *fixture) string { return "https://" + closedPort(f.t) })},
		{name: "nothing listens, wrong audience", status: denied, token: tokenFor("elsewhere"),
			config: host(func(f *fixture) string { return "https://" + closedPort(f.t) })},
	}
	return rows
}

// closedPort is a loopback address on which nobody listens.
func closedPort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// strangerRows are about the second cluster, which takes some tokens for other
// users than their claims say, as an API server with a webhook or OpenID Connect may.
func strangerRows() []loginRow {
	row := func(name, user string, status int) loginRow {
		return loginRow{
			name: name, status: status,
			config: func(f *fixture) fields { return secondCluster(f.t).config() },
			role: always(fields{
				"audience": nil, "bound_service_account_names": "*", "bound_service_account_namespaces": "*",
			}),
			token: func(f *fixture) string { return secret("static token", staticTokens[user]) },
		}
	}
	reviewed := row("the review names another service account", staticServiceAccount, ok)
	reviewed.differs, reviewed.builtin = "review-first", denied
	reviewed.want = always(fields{"alias name": staticUID, "metadata": fields{
		"role": "app", "service_account_name": "reviewed", "service_account_namespace": "static",
		"service_account_uid": staticUID, "service_account_secret_name": "",
	}})
	return []loginRow{
		row("user that is no service account", "alice", denied),
		row("user name without service account", "system:serviceaccount:static", denied),
		row("user name with too many parts", "system:serviceaccount:static:a:b", denied),
		row("user name of another kind", "system:node:static", denied),
		reviewed,
	}
}
