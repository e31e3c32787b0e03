package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// signed is a token of the row's service account, signed with the cluster's key,
// with some claims changed.
func signed(change func(claims fields)) func(*fixture) string {
	return func(f *fixture) string {
		claims := f.cluster.claims(f.account)
		change(claims)
		return f.cluster.sign(f.t, claims)
	}
}

// at is a token with the times that a real one has, but as if issued at another
// moment.
func at(issued, expires time.Duration) func(*fixture) string {
	return signed(func(claims fields) {
		now := time.Now()
		claims["iat"], claims["nbf"] = now.Add(issued).Unix(), now.Add(issued).Unix()
		claims["exp"] = now.Add(expires).Unix()
	})
}

func (c *cluster) newLegacyToken(t testing.TB, a account) string {
	t.Helper()
	token, err := testbed.LegacyToken(t.Context(), c.Cluster, a.namespace, a.name)
	if err != nil {
		t.Fatal(err)
	}
	return secret("legacy token", token)
}

// tokenRows are about tokens that are, or once were, the cluster's own.
func tokenRows() []loginRow {
	return []loginRow{
		{name: "signed as the cluster does", token: signed(func(fields) {}), status: ok},
		// The API server itself grants a minute.
		{name: "expired half a minute ago", token: at(-10*time.Minute, -30*time.Second), status: ok},
		{name: "expired, but not for Vault's leeway", token: at(-10*time.Minute, -100*time.Second), status: denied},
		{name: "expired long ago", token: at(-2*time.Hour, -time.Hour), status: denied},
		{name: "not valid for another half minute", token: at(30*time.Second, 10*time.Minute), status: ok},
		{name: "not valid yet, but for Vault's leeway", token: at(100*time.Second, 10*time.Minute), status: denied},
		{name: "not valid for another hour", token: at(time.Hour, 2*time.Hour), status: denied},
		{name: "without expiry", token: signed(func(claims fields) { delete(claims, "exp") }), status: ok},
		{name: "issuer that the API server does not know", token: signed(func(claims fields) { claims["iss"] = "https://elsewhere" }), status: denied},
		{name: "uid that is not the service account's", status: denied, token: func(f *fixture) string {
			a := f.account
			a.uid = "00000000-0000-0000-0000-000000000000"
			return f.cluster.sign(f.t, f.cluster.claims(a))
		}},
		{name: "deleted service account", status: denied, token: func(f *fixture) string {
			token := f.cluster.newToken(f.t, f.account, audience)
			f.cluster.deleteAccount(f.t, f.account)
			return token
		}},
		{name: "recreated service account", status: denied, token: func(f *fixture) string {
			token := f.cluster.newToken(f.t, f.account, audience)
			f.cluster.deleteAccount(f.t, f.account)
			f.cluster.newAccount(f.t, f.account.namespace, f.account.name, nil)
			return token
		}},
		{name: "recreated service account with a new token", status: ok, token: func(f *fixture) string {
			f.cluster.deleteAccount(f.t, f.account)
			f.account = f.cluster.newAccount(f.t, f.account.namespace, f.account.name, nil)
			return f.cluster.newToken(f.t, f.account, audience)
		}, want: func(f *fixture) fields { return fields{"alias name": f.account.uid} }},
		{name: "bound to a pod", status: ok, differs: "bound-metadata", builtin: ok,
			token: func(f *fixture) (token string) {
				token, f.pod = f.cluster.newPodToken(f.t, f.account)
				f.podUID = f.cluster.podUID(f.t, f.account, f.pod)
				return token
			},
			want: func(f *fixture) fields {
				return fields{"metadata": fields{
					"role": "app", "service_account_name": "app", "service_account_namespace": f.account.namespace,
					"service_account_uid": f.account.uid, "service_account_secret_name": "", "pod_name": f.pod, "pod_uid": f.podUID,
				}}
			}},
		{name: "posture, an hour of a pod", status: ok, differs: "bound-metadata", builtin: ok,
			role: always(fields{"max_token_lifetime": "1h", "require_pod_bound_tokens": true, "refuse_legacy_tokens": true}),
			token: func(f *fixture) (token string) {
				token, _ = f.cluster.newPodToken(f.t, f.account)
				return token
			}},
		{name: "posture, issued for too long", status: denied, differs: "added-bounds", builtin: ok, role: always(fields{"max_token_lifetime": "10m"})},
		{name: "posture, not of a pod", status: denied, differs: "added-bounds", builtin: ok, role: always(fields{"require_pod_bound_tokens": true})},
		{name: "posture, of a secret", status: denied, differs: "added-bounds", builtin: ok, role: always(fields{"audience": nil, "refuse_legacy_tokens": true}),
			token: func(f *fixture) string { return f.cluster.newLegacyToken(f.t, f.account) }},
		{name: "posture, of a secret and so without an end", status: denied, differs: "added-bounds", builtin: ok, role: always(fields{"audience": nil, "max_token_lifetime": "87600h"}),
			token: func(f *fixture) string { return f.cluster.newLegacyToken(f.t, f.account) }},
		{name: "bound to a pod that is gone", status: denied, token: func(f *fixture) string {
			token, pod := f.cluster.newPodToken(f.t, f.account)
			f.cluster.deletePod(f.t, f.account, pod)
			return token
		}},
		{name: "legacy token of a deleted service account", role: always(fields{"audience": nil}), status: denied, token: func(f *fixture) string {
			token := f.cluster.newLegacyToken(f.t, f.account)
			f.cluster.deleteAccount(f.t, f.account)
			return token
		}},
		{name: "space around the token", status: ok, differs: "token-space", builtin: denied, token: func(f *fixture) string {
			return " " + f.cluster.newToken(f.t, f.account, audience) + "\n"
		}},
	}
}

// forgeryRows are tokens that nobody of the cluster issued.
func forgeryRows() []loginRow {
	return []loginRow{
		{name: "tampered signature", status: denied, token: func(f *fixture) string {
			token := f.cluster.newToken(f.t, f.account, audience)
			dot := strings.LastIndexByte(token, '.')
			flipped := "A"
			if token[dot+1] == 'A' {
				flipped = "B"
			}
			return secret("tampered token", token[:dot+1]+flipped+token[dot+2:])
		}},
		{name: "tampered claims", status: denied, token: func(f *fixture) string {
			own := strings.Split(f.cluster.newToken(f.t, f.cluster.newAccount(f.t, f.account.namespace, "other", nil), audience), ".")
			own[1] = encoded(f.t, f.cluster.claims(f.account))
			return secret("tampered token", strings.Join(own, "."))
		}},
		{name: "no signature", status: denied, token: func(f *fixture) string {
			token := f.cluster.newToken(f.t, f.account, audience)
			return token[:strings.LastIndexByte(token, '.')+1]
		}},
		{name: "another cluster's token", status: denied, token: func(f *fixture) string {
			other := secondCluster(f.t)
			return other.newToken(f.t, other.newAccount(f.t, "", "app", nil), audience)
		}},
		{name: "another cluster's key", status: denied, token: func(f *fixture) string {
			return secondCluster(f.t).sign(f.t, f.cluster.claims(f.account))
		}},
		{name: "algorithm none", status: denied, token: func(f *fixture) string {
			return encoded(f.t, fields{"alg": "none", "typ": "JWT"}) + "." + encoded(f.t, f.cluster.claims(f.account)) + "."
		}},
		{name: "algorithm HS256 with the public key", status: denied, token: func(f *fixture) string {
			return f.hs256(f.cluster.SigningPublicKeyPEM)
		}},
		{name: "algorithm HS256 with the public key that is configured", status: denied,
			config: func(f *fixture) fields { return fields{"pem_keys": []string{f.cluster.SigningPublicKeyPEM}} },
			token:  func(f *fixture) string { return f.hs256(f.cluster.SigningPublicKeyPEM) }},
		{name: "namespace that is a path", status: denied,
			role: always(fields{"bound_service_account_namespaces": nil, selectorField: "{}"}),
			token: func(f *fixture) string {
				return secondCluster(f.t).sign(f.t, f.cluster.claims(account{namespace: "../../../version", name: "app", uid: "x"}))
			}},
		{name: "nearly 1 MiB of garbage", status: denied, token: func(*fixture) string { return strings.Repeat("a", 1000<<10) }},
		{name: "nearly 1 MiB in three segments", status: denied, token: func(*fixture) string {
			return strings.Repeat("a", 300<<10) + "." + strings.Repeat("b", 300<<10) + "." + strings.Repeat("c", 300<<10)
		}},
		// Such a token is the cluster's, but none that it issues.
		{name: "nearly 1 MiB that the cluster signed", status: denied, differs: "token-size", builtin: ok,
			token: signed(func(claims fields) { claims["padding"] = strings.Repeat("a", 600<<10) })},
		{name: "garbage", status: denied, token: func(*fixture) string { return "garbage" }},
		{name: "dots", status: denied, token: func(*fixture) string { return ".." }},
		{name: "five segments", status: denied, token: func(*fixture) string { return "a.b.c.d.e" }},
		{name: "JSON in place of a token", status: denied, token: func(*fixture) string { return `{"payload":"e30","signatures":[]}` }},
		{name: "claims that are a list", status: denied, token: func(f *fixture) string {
			return encoded(f.t, fields{"alg": "RS256"}) + "." + encoded(f.t, []int{1}) + ".c2lnbmF0dXJl"
		}},
		{name: "claims of other types", status: denied, token: signed(func(claims fields) {
			claims["aud"], claims["exp"], claims["kubernetes.io"] = fields{"a": 1}, "soon", "default"
		})},
	}
}

// hs256 is a token whose signature uses a public key as if it were a shared secret.
func (f *fixture) hs256(key string) string {
	input := encoded(f.t, fields{"alg": "HS256", "typ": "JWT"}) + "." + encoded(f.t, f.cluster.claims(f.account))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(input))
	return secret("forged token", input+"."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}

func encoded(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// requestRows are about the request itself.
func requestRows() []loginRow {
	return []loginRow{
		{name: "empty jwt", login: always(fields{"jwt": ""}), status: invalid, errors: []string{"missing jwt"}},
		{name: "no jwt", login: always(fields{"jwt": nil}), status: invalid, errors: []string{"missing jwt"}},
		{name: "blank jwt", login: always(fields{"jwt": " "}), status: denied},
		{name: "empty role", login: always(fields{"role": ""}), status: invalid, errors: []string{"missing role"}},
		{name: "no role", login: always(fields{"role": nil}), status: invalid, errors: []string{"missing role"}},
		{name: "neither", login: always(fields{"role": nil, "jwt": nil}), status: invalid, errors: []string{"missing role"}},
		{name: "unknown role", login: always(fields{"role": "other"}), status: invalid, errors: []string{`invalid role name "other"`}},
		{name: "role of another case", login: always(fields{"role": "APP"}), status: ok, want: func(f *fixture) fields {
			return fields{"token meta": fields{
				"role": "APP", "service_account_name": "app", "service_account_namespace": f.account.namespace,
				"service_account_uid": f.account.uid, "service_account_secret_name": "",
			}}
		}},
		{name: "role with space", login: always(fields{"role": " app"}), status: invalid, errors: []string{`invalid role name " app"`}},
		{name: "role that is a path", login: always(fields{"role": "app/x"}), status: invalid, errors: []string{`invalid role name "app/x"`}},
		{name: "role that leads out", login: always(fields{"role": "../config"}), status: invalid, errors: []string{`invalid role name "../config"`}},
		{name: "role with two dots", login: always(fields{"role": "a..b"}), status: invalid, errors: []string{"relative paths not supported"}},
		{name: "fields that do not exist", login: always(fields{"kubernetes_host": "https://elsewhere", "audience": "x"}), status: ok},
		{name: "no configuration", status: failed, errors: []string{"could not load backend configuration"},
			config: func(f *fixture) fields { return nothingOf(f.cluster.config()) }},
	}
}

// nothingOf takes all fields of a body away.
func nothingOf(body fields) fields {
	nothing := fields{}
	for field := range body {
		nothing[field] = nil
	}
	return nothing
}
