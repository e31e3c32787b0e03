package e2e

import (
	"net"
	"net/url"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// hosted is a configuration with another host.
func hosted(host func(f *fixture) string) func(*fixture) fields {
	return func(f *fixture) fields { return fields{"kubernetes_host": host(f)} }
}

// behind is a configuration of an API server behind a front.
func behind(options func() frontOptions) func(*fixture) fields {
	return func(f *fixture) fields {
		front := newFront(f.t, f.cluster, options())
		return fields{"kubernetes_host": front.url, "kubernetes_ca_cert": front.caPEM}
	}
}

// wayRows are about what keeps Vault from reaching the API server.
func wayRows() []diagnosis {
	unreached := func(name string, config func(*fixture) fields, check, cause, remedy string) diagnosis {
		return diagnosis{
			name: name, config: config, finds: []found{{check, "fail", cause, remedy}},
			step: "token review", verdict: explainCouldNotAsk,
		}
	}
	unmended := func(d diagnosis) diagnosis {
		d.unmended = true
		return d
	}
	const setHost = "/config kubernetes_host="
	return []diagnosis{
		unreached("host that does not resolve", hosted(func(*fixture) string { return "https://kubernetes-.invalid:6443" }),
			"reachable", "does not resolve", setHost),
		unreached("host that cannot be reached", func(*fixture) fields {
			// The address is reserved for documentation.
			return fields{"kubernetes_host": "https://192.0.2.1:6443", "request_timeout": 1}
		}, "reachable", "192.0.2.1:6443", setHost),
		unreached("wrong port, closed", hosted(func(f *fixture) string { return "https://" + closedPort(f.t) }),
			"reachable", "nothing listens on that port", setHost),
		unreached("wrong port, no TLS", hosted(func(*fixture) string { return "https://" + sure(url.Parse(bed.Vault.Addr)).Host }),
			"tls", "speaks no TLS", "6443 or 443"),
		unreached("wrong port, no answer", func(f *fixture) fields {
			return fields{"kubernetes_host": "https://" + silentPort(f.t), "request_timeout": 1}
		}, "tls", "does not answer the TLS handshake", "6443 or 443"),
		unmended(unreached("wrong proxy", func(f *fixture) fields { return fields{"proxy_url": "http://" + closedPort(f.t)} },
			"reachable", "refuses the connection", "/config proxy_url=")),
		unreached("wrong CA", func(f *fixture) fields { return fields{"kubernetes_ca_cert": secondCluster(f.t).CAPEM} },
			"tls", "wrong CA: kubernetes_ca_cert did not sign", "/config kubernetes_ca_cert=@ca.crt"),
		unreached("no CA", always(fields{"kubernetes_ca_cert": nil}),
			"tls", "wrong CA: those of the system that Vault runs on", "/config kubernetes_ca_cert=@ca.crt"),
		unreached("wrong server name, as configured", always(fields{"tls_server_name": "elsewhere.example.com"}),
			"tls", `wrong server name: the API server's certificate is not for "elsewhere.example.com"`, "/config tls_server_name="),
		unreached("wrong server name, as certified", behind(func() frontOptions { return frontOptions{name: "kubernetes.example.com"} }),
			"tls", `wrong server name: the API server's certificate is not for "127.0.0.1"`, "/config tls_server_name=kubernetes.example.com"),
		unmended(unreached("expired API certificate", behind(func() frontOptions { return frontOptions{notAfter: time.Now().Add(-time.Hour)} }),
			"tls", "the API server's certificate expired at", "kubeadm certs renew apiserver")),
	}
}

// silentPort is a loopback address that takes connections and says nothing.
func silentPort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

// baseRows are about hosts that answer and are not the base of a Kubernetes API.
func baseRows() []diagnosis {
	const setHost = "/config kubernetes_host="
	return []diagnosis{
		{
			name: "host with a path that is not the API's", step: "token review", verdict: explainDenied,
			config: hosted(func(f *fixture) string { return f.cluster.Host + "/elsewhere" }),
			finds:  []found{{"server", "fail", `it refuses the path "/elsewhere"`, setHost}},
		},
		{
			name: "host that is no API server", step: "token review", verdict: explainCouldNotAsk, unmended: true,
			config: hosted(func(*fixture) string { return bed.Vault.Addr }),
			finds: []found{
				{"tls", "warn", "kubernetes_host is http", setHost},
				{"server", "fail", "unusable answer", "base URL"}, {"reviewer", "fail", "no Kubernetes API", "base URL"},
			},
		},
		{
			name: "plain HTTP to the API server", step: "token review", verdict: explainCouldNotAsk, unmended: true,
			config: hosted(func(f *fixture) string { return "http://" + sure(url.Parse(f.cluster.Host)).Host }),
			finds: []found{
				{"tls", "warn", "kubernetes_host is http", setHost},
				{"server", "fail", "", ""}, {"reviewer", "fail", "", ""},
			},
		},
	}
}

func reviewerDiagnoses() []diagnosis {
	newToken := "/config token_reviewer_jwt=@reviewer.jwt"
	return []diagnosis{
		{
			name: "reviewer token expired", step: "token review", verdict: explainDenied, unmended: true,
			config: func(f *fixture) fields {
				reviewer, _ := f.cluster.newReviewer(f.t, canReview)
				claims := with(f.cluster.claims(reviewer), fields{
					"aud": []string{f.cluster.Issuer}, "exp": time.Now().Add(-time.Hour).Unix(),
					"iat": time.Now().Add(-2 * time.Hour).Unix(), "nbf": time.Now().Add(-2 * time.Hour).Unix(),
				})
				return fields{"token_reviewer_jwt": f.cluster.sign(f.t, claims)}
			},
			finds: []found{{"reviewer", "fail", "it expired at", newToken}, {"reviewer_token", "fail", "expired at", newToken}},
		},
		{
			name: "reviewer of another cluster", step: "token review", verdict: explainDenied, unmended: true,
			config: func(f *fixture) fields {
				return fields{"token_reviewer_jwt": secondCluster(f.t).lastingReviewer(f.t, canReview)}
			},
			finds: []found{{"reviewer", "fail", "it is of another cluster", newToken}},
		},
		{
			name: "client certificate of another cluster", step: "token review", verdict: explainDenied, unmended: true,
			config: certificateOf(secondCluster),
			finds: []found{
				{"reviewer", "fail", "no CA that the API server takes clients of signed it", "kubernetes_client_cert=@client.crt kubernetes_client_key=@client.key"},
			},
		},
		{
			name: "client certificate expired", step: "token review", verdict: explainDenied, unmended: true,
			config: func(f *fixture) fields {
				return sure(f.cluster.newClientPair(f.t.Context(), testbed.ClientCertificate{
					User: "vault-reviewer", NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
				})).config()
			},
			finds: []found{
				{"reviewer", "fail", "rejects kubernetes_client_cert (401 Unauthorized): it ended at", "kubernetes_client_cert=@client.crt kubernetes_client_key=@client.key"},
				{"reviewer_token", "fail", "kubernetes_client_cert ended at", "kubernetes_client_cert=@client.crt"},
			},
		},
		{
			name: "client certificate behind what ends TLS", step: "token review", verdict: explainDenied, unmended: true,
			config: func(f *fixture) fields {
				return with(f.cluster.certified.config(), behind(func() frontOptions { return frontOptions{} })(f))
			},
			finds: []found{{"reviewer", "fail", "does not get to see the client certificate", "without ending TLS"}},
		},
		{
			name: "reviewer without permission for TokenReview", step: "token review", verdict: explainDenied,
			reviewer: []permission{canGetNamespaces, canGetServiceAccounts},
			finds: []found{{"permission_tokenreviews", "fail", "needed by every login",
				"--clusterrole=system:auth-delegator --serviceaccount=test-"}},
		},
		{
			name: "reviewer without permission for namespaces, a selector needs it", step: "namespace", verdict: explainDenied,
			reviewer: []permission{canReview, canGetServiceAccounts},
			role:     always(fields{"bound_service_account_namespaces": nil, selectorField: "{}"}),
			finds:    []found{{"permission_namespaces", "fail", `needed by role "app"`, "--verb=get --resource=namespaces"}},
		},
		{
			name: "reviewer without permission for service accounts, annotations need it", step: "alias", verdict: explainDenied,
			reviewer: []permission{canReview, canGetNamespaces},
			config:   always(fields{"use_annotations_as_alias_metadata": true}),
			finds:    []found{{"permission_serviceaccounts", "fail", "needed by use_annotations_as_alias_metadata", "--verb=get --resource=serviceaccounts"}},
		},
		{
			name: "wrong issuer", step: "unverified claims", verdict: explainDenied,
			config: always(fields{"disable_iss_validation": false, "issuer": "https://elsewhere"}),
			finds:  []found{{"issuer", "fail", `"https://elsewhere", and the cluster's is "` + testbed.DefaultIssuer, "issuer=" + testbed.DefaultIssuer}},
		},
		{
			name: "keys of another cluster", step: "signature", verdict: explainDenied,
			config: func(f *fixture) fields { return fields{"pem_keys": []string{secondCluster(f.t).SigningPublicKeyPEM}} },
			finds:  []found{{"pem_keys", "fail", "every token is refused", "pem_keys= verification=keys_then_review"}},
		},
	}
}

// clockRows are about a cluster whose clock is five minutes off. What shows of it is
// the time in its answers, and in its tokens, which are signed with its own key here.
func clockRows() []diagnosis {
	off := func(ahead time.Duration) func(*fixture) fields {
		return behind(func() frontOptions { return frontOptions{ahead: ahead} })
	}
	signedAt := func(at, lifetime time.Duration) func(*fixture) string {
		return func(f *fixture) string {
			issued := time.Now().Add(at)
			return f.cluster.sign(f.t, with(f.cluster.claims(f.account), fields{
				"iat": issued.Unix(), "nbf": issued.Unix(), "exp": issued.Add(lifetime).Unix(),
			}))
		}
	}
	unseen := found{"reviewer", "fail", "does not get to see the client certificate", "without ending TLS"} // the front ends it
	const minutes = 5 * time.Minute
	return []diagnosis{
		{
			name: "clock of the cluster five minutes ahead, a fresh token", step: "unverified claims", verdict: explainDenied, unmended: true,
			config: off(minutes), token: signedAt(minutes, 10*time.Minute),
			finds: []found{{"clock", "fail", " ahead of Vault's", "NTP"}}, certified: []found{{"clock", "fail", " ahead of Vault's", "NTP"}, unseen},
		},
		{
			// The cluster would take it for another half a minute.
			name: "clock of the cluster five minutes behind, a token about to end", step: "unverified claims", verdict: explainDenied, unmended: true,
			config: off(-minutes), token: signedAt(-minutes-9*time.Minute-30*time.Second, 10*time.Minute),
			finds: []found{{"clock", "fail", " behind Vault's", "NTP"}}, certified: []found{{"clock", "fail", " behind Vault's", "NTP"}, unseen},
		},
	}
}
