package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestConfigParity(t *testing.T) {
	t.Parallel()
	runParity(t, configRows())
}

func configRows() []parityRow {
	var rows []parityRow
	for _, more := range [][]parityRow{
		configWholeRows(), configHostRows(), configCARows(), configKeyRows(), configFieldRows(), configMethodRows(),
	} {
		rows = append(rows, more...)
	}
	return rows
}

// config is a configuration that can be written anywhere. Overrides that are
// dropped leave a field out.
func config(overrides map[string]any) map[string]any {
	return with(map[string]any{
		"kubernetes_host":      "https://127.0.0.1:6443",
		"disable_local_ca_jwt": true,
	}, overrides)
}

// rowReviewer is the reviewer's token of all rows that have one. No answer may hold it.
var rowReviewer = secret("reviewer's token of a row", "the-token-of-the-reviewer-of-a-row-of-the-table")

// configRow writes the default configuration with overrides and reads it back.
func configRow(name string, overrides map[string]any) parityRow {
	return row(name, write("config", config(overrides)), read("config"))
}

func configWholeRows() []parityRow {
	keys := pemFixtures()
	everything := config(map[string]any{
		"kubernetes_ca_cert":                keys.certificate,
		"token_reviewer_jwt":                rowReviewer,
		"pem_keys":                          []string{keys.rsa, keys.ecdsa},
		"issuer":                            "https://issuer.example",
		"disable_iss_validation":            false,
		"use_annotations_as_alias_metadata": true,
	})
	return []parityRow{
		row("read before write", read("config")),
		row("least", write("config", config(nil)), read("config")),
		row("every field", write("config", everything), read("config")),
		row("a write replaces all fields",
			write("config", everything), write("config", config(nil)).differing("settings-lost", warning(settingsLost, reviewerDropped)), read("config")),
		row("a write replaces all fields, and names no reviewer",
			write("config", everything),
			write("config", config(map[string]any{"token_reviewer_jwt": ""})).differing("settings-lost", warning(settingsLost, reviewerEmptied)), read("config"),
			write("config", config(nil)), read("config")),
		row("a refused write changes nothing",
			write("config", everything),
			write("config", config(map[string]any{"pem_keys": "garbage"})),
			write("config", config(map[string]any{"kubernetes_host": nil})),
			read("config")),
		row("empty object", write("config", map[string]any{}), read("config")),
		row("no body", write("config", nil), read("config")),
		row("an issuer as the vault command prints none",
			write("config", config(map[string]any{"issuer": "n/a"})).differing("printed-nothing", warning(
				`issuer: "n/a" is what programs print where there is nothing, and a value here; for none write issuer=""`)), read("config")),
		row("not JSON", write("config", "kubernetes_host"), read("config")),
		row("a list", write("config", "[]"), read("config")),
		row("a string", write("config", `"https://127.0.0.1"`), read("config")),
		row("null", write("config", "null"), read("config")),
		row("all fields null", write("config", `{"kubernetes_host":null,"kubernetes_ca_cert":null,"pem_keys":null}`), read("config")),
		row("unknown fields",
			write("config", config(map[string]any{"kubernetes_hosts": "x", "token_reviewer": 1})).
				differing("unknown-fields", warning(unrecognized("kubernetes_hosts", "token_reviewer"))),
			read("config"),
			write("config", config(map[string]any{"token_reviewer": 1})).differing("unknown-fields", warning(unrecognized("token_reviewer"))),
			read("config")),
		row("unknown fields with another warning",
			write("config", everything),
			write("config", config(map[string]any{"token_reviewer": 1})).
				differing("unknown-fields", warning(settingsLost, reviewerDropped, unrecognized("token_reviewer"))),
			read("config")),
		row("an unknown field of a refused write", write("config", map[string]any{"kubernetes_hosts": "x"}).
			differing("unknown-fields", refused(http.StatusBadRequest, "no host provided\nthere is no field \"kubernetes_hosts\"; did you mean \"kubernetes_host\"?")),
			read("config")),
		row("a field that only answers have",
			write("config", config(map[string]any{"token_reviewer_jwt_set": true})).
				differing("unknown-fields", warning(unrecognized("token_reviewer_jwt_set"))),
			read("config")),
	}
}

// unrecognized is Vault's own warning about fields that do not exist.
func unrecognized(fields ...string) string {
	return fmt.Sprintf("Endpoint ignored these unrecognized parameters: %v", fields)
}

const (
	reviewerEmptied = "token_reviewer_jwt was named with an empty value, and the reviewer's token that was stored is gone. …"
	reviewerDropped = "token_reviewer_jwt was not named, and a write replaces it: …"
	settingsLost    = "A write replaces what it does not name: now at their defaults are disable_iss_validation, issuer, " +
		"kubernetes_ca_cert, pem_keys, use_annotations_as_alias_metadata. vault patch changes single fields."
)

func configHostRows() []parityRow {
	var rows []parityRow
	for _, host := range []any{
		"kubernetes.default.svc", "10.0.0.1", "10.0.0.1:6443", "cluster:443", "::1", "fd00::1", "[::1]", "[::1]:6443",
		"https://10.0.0.1:6443", "http://10.0.0.1:8080", "https://[fd00::1]:6443", "https://10.0.0.1:6443/",
		"https://rancher.example/k8s/clusters/c-1", "https://rancher.example/k8s/clusters/c-1/",
		"HTTPS://10.0.0.1", " https://10.0.0.1:6443\n", "", nil,
		[]string{"https://10.0.0.1"}, map[string]any{"host": "10.0.0.1"},
	} {
		rows = append(rows, configRow("host "+exchange{body: host}.shortBody(), map[string]any{"kubernetes_host": host}))
	}
	const noAddress = "it ends with a number as addresses do, and is none; write it as in https://10.0.0.1:6443 or https://kubernetes.example.com:6443"
	for host, complaint := range map[any]string{
		6443:                        noAddress,
		true:                        noAddress,
		"https//cluster":            "the scheme is not followed by ://; write it as in https://10.0.0.1:6443",
		"$KUBERNETES_HOST":          "there is a variable in it without its value; give the address of the API server, such as https://10.0.0.1:6443",
		"fd00:10:96::1:443":         "it may be an address with a port, or without one: write https://[fd00:10:96::1]:443, or https://[fd00:10:96::1:443]",
		" ":                         "the host is empty",
		"https://":                  "the URL names no host; a variable may have been empty: write it as in https://10.0.0.1:6443",
		"https://:6443":             "the URL names no host; a variable may have been empty: write it as in https://10.0.0.1:6443",
		"https://user:pass@cluster": "the URL has user info, which the Kubernetes API does not take",
		"user@cluster:6443":         "the URL has user info, which the Kubernetes API does not take",
		"ftp://cluster":             `the scheme is "ftp", it must be https or http; write https://cluster`,
		"unix:///run/api.sock":      `the scheme is "unix", it must be https or http`,
		"https://cluster?a=b":       "the URL has a query or a fragment",
		"https://cluster/#top":      "the URL has a query or a fragment",
		"cluster:99999":             `the port "99999" is not between 1 and 65535`,
		"https://cluster:https":     `not a host or URL: invalid port ":https" after host; write it as in https://10.0.0.1:6443`,
		"10.0.0.1:6443:1":           `not a host or URL: invalid port ":6443:1" after host; write it as in https://10.0.0.1:6443`,
		"https://a b":               "there are quotes or words in it, or more than one host; a mount has one: write https://a",
		"https://cluster/%zz":       `not a host or URL: invalid URL escape "%zz"; write it as in https://10.0.0.1:6443`,
		"https://[::1":              "not a host or URL: missing ']' in host; write it as in https://10.0.0.1:6443",
	} {
		rows = append(rows, row("unusable host "+exchange{body: host}.shortBody(),
			write("config", config(map[string]any{"kubernetes_host": host})).
				differing("host-refused", refused(http.StatusBadRequest, "kubernetes_host: "+complaint)),
			read("config").differing("host-refused", answer{Status: http.StatusNotFound})))
	}
	const unbracketed = "https://fd00:10:96::1:443"
	return append(rows, row("IPv6 without brackets",
		write("config", config(map[string]any{"kubernetes_host": unbracketed})).differing("ipv6-brackets", warning(
			"kubernetes_host: read as the address fd00:10:96::1 and the port 443; brackets make it clear to all programs: https://[fd00:10:96::1]:443")),
		read("config"),
		write("config", config(map[string]any{"kubernetes_host": unbracketed})),
		read("config")))
}

func configCARows() []parityRow {
	keys := pemFixtures()
	ca := func(name string, overrides map[string]any) parityRow { return configRow("CA "+name, overrides) }
	noCertificate := func(name, bundle, reason string) parityRow {
		return row("CA "+name,
			write("config", config(map[string]any{"kubernetes_ca_cert": bundle})).differing("ca-refused",
				refused(http.StatusBadRequest, "The provided CA PEM data contains no valid certificates: "+reason)),
			read("config").differing("ca-refused", answer{Status: http.StatusNotFound}))
	}
	missing := func(name string, local any) parityRow {
		return row("CA unset "+name, write("config", config(map[string]any{"disable_local_ca_jwt": local})).differing("ca-missing",
			refused(http.StatusBadRequest, "open /var/run/secrets/kubernetes.io/serviceaccount/ca.crt: no such file or directory; "+
				"Vault runs in no pod, so name the CA of the API server: kubernetes_ca_cert=@ca.crt, or disable_local_ca_jwt=true to go by the CAs of Vault's own system")),
			read("config"))
	}
	const damaged = "block 1, line 1: the certificate is damaged: x509: malformed certificate"
	return []parityRow{
		missing("without disable_local_ca_jwt", nil),
		missing("with disable_local_ca_jwt=false", false),
		ca("set with disable_local_ca_jwt=false", map[string]any{"kubernetes_ca_cert": keys.certificate, "disable_local_ca_jwt": false}),
		ca("empty", map[string]any{"kubernetes_ca_cert": ""}),
		ca("null", map[string]any{"kubernetes_ca_cert": nil}),
		ca("garbage", map[string]any{"kubernetes_ca_cert": "garbage"}),
		ca("blank", map[string]any{"kubernetes_ca_cert": "\n"}),
		ca("number", map[string]any{"kubernetes_ca_cert": 7}),
		ca("list", map[string]any{"kubernetes_ca_cert": []string{keys.certificate}}),
		row("CA cut short",
			write("config", config(map[string]any{"kubernetes_ca_cert": keys.certificate[:len(keys.certificate)-40]})).differing("ca-refused", refused(http.StatusBadRequest,
				"The provided CA PEM data contains no valid certificates: block 1, line 1: it is cut short, END CERTIFICATE is missing")),
			read("config")),
		ca("good", map[string]any{"kubernetes_ca_cert": keys.certificate}),
		ca("two", map[string]any{"kubernetes_ca_cert": keys.certificate + keys.ecdsaCertificate}),
		ca("with text around", map[string]any{"kubernetes_ca_cert": "subject: x\n" + keys.certificate + "the end\n"}),
		noCertificate("broken and good", keys.brokenCertificate+keys.certificate, damaged),
		noCertificate("with a private key", keys.certificate+keys.private,
			fmt.Sprintf("block 2, line %d: %s", strings.Count(keys.certificate, "\n")+1, privateKey)),
		row("CA on one line",
			write("config", config(map[string]any{"kubernetes_ca_cert": strings.ReplaceAll(keys.certificate, "\n", " ")})).differing("pem-taken", noContent())),
		ca("key and certificate", map[string]any{"kubernetes_ca_cert": keys.rsa + keys.certificate}),
		noCertificate("a public key", keys.rsa, "block 1, line 1: this is no certificate but the PUBLIC KEY"),
		noCertificate("a certificate that is broken", keys.brokenCertificate, damaged),
		noCertificate("a certificate under another label", encodePEM("PUBLIC KEY", certificateDER()),
			"block 1, line 1: this is a certificate under another label, PUBLIC KEY"),
	}
}

// privateKey is what the writer of a private key is told.
const privateKey = "this is a private key, which has no place here; give the certificate or the public key alone, " +
	"and as it was sent, take the private key for known to others"

func configKeyRows() []parityRow {
	keys := pemFixtures()
	pemKeys := func(name string, value any) parityRow {
		return configRow("pem_keys "+name, map[string]any{"pem_keys": value})
	}
	refusedKey := func(name, key, id, reason string) parityRow {
		return row("pem_keys "+name,
			write("config", config(map[string]any{"pem_keys": []string{key}})).differing(id,
				refused(http.StatusBadRequest, "data does not contain any valid RSA or ECDSA public keys: block 1, line 1: "+reason)),
			read("config"))
	}
	several := func(name, key string) parityRow {
		return row("pem_keys "+name,
			write("config", config(map[string]any{"pem_keys": []string{key}})),
			read("config").differing("pem-several", withData(map[string]any{"pem_keys": []any{strings.TrimSpace(keys.rsa), strings.TrimSpace(keys.ecdsa)}})))
	}
	const noKey = "this is no public key and no certificate, or a damaged one"
	return []parityRow{
		pemKeys("RSA", []string{keys.rsa}),
		pemKeys("RSA as string", keys.rsa),
		pemKeys("ECDSA", []string{keys.ecdsa}),
		pemKeys("two", []string{keys.rsa, keys.ecdsa}),
		pemKeys("comma-joined", keys.rsa+","+keys.ecdsa),
		several("comma-joined within a list", keys.rsa+","+keys.ecdsa),
		several("two in one document", keys.rsa+keys.ecdsa),
		pemKeys("the same twice", []string{keys.rsa, keys.rsa}),
		pemKeys("with text around", []string{"key:\n" + keys.rsa + "end"}),
		pemKeys("certificate", []string{keys.certificate}),
		pemKeys("ECDSA certificate", []string{keys.ecdsaCertificate}),
		row("pem_keys PKCS #1", write("config", config(map[string]any{"pem_keys": []string{keys.pkcs1}})).differing("pem-taken", noContent())),
		refusedKey("private key", keys.private, "pem-place", privateKey),
		refusedKey("X25519", keys.x25519, "pem-place", "this key is neither RSA nor ECDSA, with which Kubernetes signs service account tokens"),
		refusedKey("broken key", keys.brokenKey, "pem-place", noKey),
		refusedKey("broken certificate", keys.brokenCertificate, "pem-place", noKey),
		pemKeys("garbage", "garbage"),
		pemKeys("garbage after a key", []string{keys.rsa, "garbage"}),
		pemKeys("empty list", []string{}),
		pemKeys("empty string", ""),
		pemKeys("list of an empty string", []string{""}),
		pemKeys("number", 7),
		pemKeys("bool", true),
		pemKeys("object", map[string]any{"key": keys.rsa}),
		refusedKey("Ed25519", keys.ed25519, "ed25519", "this is an Ed25519 key, which cannot be used: Kubernetes signs service account tokens with RSA or ECDSA"),
	}
}

func configFieldRows() []parityRow {
	rows := []parityRow{
		configRow("reviewer", map[string]any{"token_reviewer_jwt": rowReviewer}),
		configRow("reviewer empty", map[string]any{"token_reviewer_jwt": ""}),
		row("reviewer blank",
			write("config", config(map[string]any{"token_reviewer_jwt": " \n"})),
			read("config").differing("reviewer-blank", withData(map[string]any{"token_reviewer_jwt_set": false}))),
		row("values that go by an empty one",
			write("config", config(map[string]any{"issuer": "https://issuer", "pem_keys": pemFixtures().rsa})),
			write("config", config(map[string]any{"issuer": "", "pem_keys": ""})).
				differing("emptied", warning("issuer was named with an empty value: …", "pem_keys was named with an empty value: …")),
			read("config")),
		configRow("reviewer number", map[string]any{"token_reviewer_jwt": 7}),
		row("reviewer that is the name of a file",
			write("config", config(map[string]any{"token_reviewer_jwt": "reviewer.jwt"})).differing("reviewer-refused", refused(http.StatusBadRequest,
				"token_reviewer_jwt: it is the name of a file; with the vault command, token_reviewer_jwt=@reviewer.jwt sends what is in it")),
			read("config").differing("reviewer-refused", answer{Status: http.StatusNotFound})),
		configRow("reviewer list", map[string]any{"token_reviewer_jwt": []string{"abc"}}),
		configRow("issuer", map[string]any{"issuer": "kubernetes/serviceaccount"}),
		configRow("issuer with validation", map[string]any{"issuer": "https://issuer", "disable_iss_validation": false}),
		configRow("issuer validation with the default issuer", map[string]any{"disable_iss_validation": false}),
		configRow("issuer empty", map[string]any{"issuer": ""}),
		configRow("issuer blank", map[string]any{"issuer": " "}),
		configRow("issuer number", map[string]any{"issuer": 7}),
		configRow("issuer list", map[string]any{"issuer": []string{"a"}}),
	}
	for _, field := range []string{"disable_iss_validation", "disable_local_ca_jwt", "use_annotations_as_alias_metadata"} {
		for _, value := range []any{true, false, "true", "false", "t", "yes", "", 1, 0, 2, 1.5, []bool{true}, map[string]any{}} {
			name := field + " " + exchange{body: value}.shortBody()
			sent := write("config", config(map[string]any{"kubernetes_ca_cert": pemFixtures().certificate, field: value}))
			if value == "" {
				sent = sent.differing("emptied", warning(field+" was named with an empty value, which is read as false.…"))
			}
			if value == "yes" {
				sent = sent.differing("value-words", refused(http.StatusBadRequest, field+`: "yes" is neither true nor false; write true`))
			}
			rows = append(rows, row(name, sent, read("config")))
		}
		null := write("config", with(config(nil), map[string]any{
			"kubernetes_ca_cert": pemFixtures().certificate,
			field:                json.RawMessage("null"), // with would drop a plain nil
		}))
		if field == "disable_iss_validation" { // the others are false by default
			null = null.differing("emptied", warning(field+" was named with an empty value, which is read as false.…"))
		}
		rows = append(rows, row(field+" null", null, read("config")))
	}
	return rows
}

func configMethodRows() []parityRow {
	return []parityRow{
		row("PUT", exchange{method: http.MethodPut, path: "config", body: config(nil)}, read("config")),
		row("LIST", list("config"), read("config?list=true")),
		row("HEAD and OPTIONS", exchange{method: http.MethodHead, path: "config"}, exchange{method: http.MethodOptions, path: "config"}),
		row("trailing slash", write("config/", config(nil)), read("config/"), list("config/")),
		row("below config", read("config/x"), write("config/x", config(nil)), remove("config/x")),
		row("upper case", read("CONFIG"), write("Config", config(nil))),
		row("the root of the mount", read(""), list(""), write("", config(nil)), remove("")),
		row("no such path", read("nothing"), list("nothing"), write("nothing", nil), remove("nothing")),
		row("help",
			read("?help=1").onlyStatus(), read("config?help=1").onlyStatus(), read("login?help=1").onlyStatus(),
			read("role?help=1").onlyStatus(), read("role/?help=1").onlyStatus(), read("role/a?help=1").onlyStatus(),
			read("nothing?help=1").onlyStatus()),
		row("patch before write",
			patch("config", map[string]any{"issuer": "a"}).
				differing("config-patch-delete", refused(http.StatusNotFound, wrapped("there is no configuration to patch; write one")))),
		row("patch",
			write("config", config(map[string]any{"issuer": "a", "token_reviewer_jwt": rowReviewer})),
			patch("config", map[string]any{"issuer": "b", "kubernetes_host": "https://other"}).differing("config-patch-delete", noContent()),
			read("config").differing("config-patch-delete", withData(map[string]any{
				"issuer": "b", "kubernetes_host": "https://other", "token_reviewer_jwt_set": true, "disable_local_ca_jwt": true,
			})),
			patch("config", `{"issuer":null,"token_reviewer_jwt":null}`).
				differing("config-patch-delete", warning("issuer was named with an empty value: …", reviewerEmptied)),
			read("config").differing("config-patch-delete", withData(map[string]any{
				"issuer": "", "kubernetes_host": "https://other", "token_reviewer_jwt_set": false,
			}))),
		row("unknown fields of a patch",
			write("config", config(nil)),
			patch("config", map[string]any{"isuer": "b"}).
				differing("config-patch-delete", refused(http.StatusBadRequest, `there is no field "isuer"; did you mean "issuer"?`)),
			read("config")),
		row("added settings stay",
			write("config", config(map[string]any{"cluster_name": "east", "require_audience": true})),
			write("config", config(map[string]any{"issuer": "a"})),
			read("config").differing("added-settings", withData(map[string]any{"cluster_name": "east", "require_audience": true, "issuer": "a"})),
			write("config", config(map[string]any{"issuer": "a", "cluster_name": "", "require_audience": false})).
				differing("emptied", warning("cluster_name was named with an empty value: …")),
			read("config")),
		row("a reviewer that is renewed needs a first token",
			write("config", config(map[string]any{"token_reviewer_service_account": "vault-auth/reviewer", "token_reviewer_jwt": nil})).
				differing("reviewer-renewed", refused(http.StatusBadRequest, "token_reviewer_service_account needs a first token …"))),
		row("a refused patch changes nothing",
			write("config", config(nil)),
			patch("config", map[string]any{"kubernetes_host": "", "issuer": "b"}).
				differing("config-patch-delete", refused(http.StatusBadRequest, "no host provided")),
			read("config")),
		row("delete",
			remove("config").differing("config-patch-delete", noContent()),
			write("config", config(nil)),
			remove("config").differing("config-patch-delete", noContent()),
			read("config").differing("config-patch-delete", answer{Status: http.StatusNotFound}),
			write("config", config(map[string]any{"issuer": "a"})),
			read("config")),
		row("binding rules",
			write("login", map[string]any{"jwt": "garbage"}),
			write("config", config(nil)),
			write("binding-rule/any", map[string]any{"selector": "*", "bind_type": "policy", "bind_name": "app"}).differing("login-by-rules", noContent()),
			write("login", map[string]any{"jwt": "garbage"}).differing("login-by-rules", refused(http.StatusForbidden, permissionDenied)),
			remove("binding-rule/any").differing("login-by-rules", noContent()),
			write("login", map[string]any{"jwt": "garbage"})),
		row("a login with a long role name",
			write("login", map[string]any{"role": strings.Repeat("a", 512), "jwt": "a"}),
			write("login", map[string]any{"role": strings.Repeat("a", 513), "jwt": "a"}).
				differing("role-name-size", refused(http.StatusBadRequest, "invalid role name: it has more than 512 bytes"))),
		row("methods of login", read("login"), list("login"), remove("login"), patch("login", map[string]any{}), read("login/x"), write("login/", nil)),
		row("login before anything is written",
			write("login", nil), write("login", map[string]any{"role": "a"}), write("login", map[string]any{"jwt": "a"}),
			write("login", map[string]any{"role": "a", "jwt": "b"}), write("login", map[string]any{"role": []string{"a"}, "jwt": "b"}),
			write("login", map[string]any{"role": "a", "jwt": map[string]any{}}), write("login", map[string]any{"role": "a", "jwt": 1}),
			write("login", map[string]any{"role": "a", "jwt": "b", "other": 1}), write("login", "garbage")),
	}
}
