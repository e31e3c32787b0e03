package pemtext_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/pemtext"
)

// made are certificates and keys, made once for all tests.
type made struct {
	certificates []string // PEM
	der          [][]byte
	rsaKey       *rsa.PrivateKey
	ecdsaKey     *ecdsa.PrivateKey
}

var fixtures = sync.OnceValue(func() (m made) {
	var err error
	if m.rsaKey, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		panic(err)
	}
	if m.ecdsaKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		panic(err)
	}
	for i, key := range []crypto.Signer{m.rsaKey, m.ecdsaKey, m.ecdsaKey} {
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: "a, b"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
		der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		if err != nil {
			panic(err)
		}
		m.der = append(m.der, der)
		m.certificates = append(m.certificates, block("CERTIFICATE", der))
	}
	return m
})

func block(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

func publicPEM(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return block("PUBLIC KEY", der)
}

func privatePEM(key any) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return block("PRIVATE KEY", der)
}

// inPool are the certificates that Go's TLS, and with it Vault's own method, takes out
// of a bundle: those without headers that parse.
func inPool(bundle string) (found [][]byte) {
	for rest := []byte(bundle); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return found
		}
		if _, err := x509.ParseCertificate(b.Bytes); err == nil && b.Type == "CERTIFICATE" && len(b.Headers) == 0 {
			found = append(found, b.Bytes)
		}
	}
}

var (
	crlf    = strings.NewReplacer("\n", "\r\n")
	noFeeds = strings.NewReplacer("\n", "")
	spaces  = strings.NewReplacer("\n", " ")
	escaped = strings.NewReplacer("\n", `\n`)
)

// spellings are the ways in which people have PEM.
func spellings(text string) map[string]string {
	indented := "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
	return map[string]string{
		"as it should be":               text,
		"CRLF":                          crlf.Replace(text),
		"without line feed at the end":  strings.TrimSpace(text),
		"words of markers around":       "begin\n" + text + "end\n",
		"text around":                   "subject: CN=a, O=b\n    Serial: 4f:5a\n" + text + "the end\n",
		"Bag Attributes":                "Bag Attributes\n    localKeyID: 54 69 6D 65\nsubject=/CN=a\n" + text,
		"spaces for line feeds":         spaces.Replace(text),
		"no line feeds":                 noFeeds.Replace(text),
		"no white space at all":         strings.NewReplacer("\n", "", " ", "").Replace(text),
		"escaped line feeds":            escaped.Replace(text),
		"line feeds escaped twice":      strings.ReplaceAll(text, "\n", `\\n`),
		"escaped CRLF":                  strings.ReplaceAll(text, "\n", `\r\n`),
		"escaped line feeds and real":   strings.ReplaceAll(text, "\n", "\\n\n"),
		"escaped slashes":               strings.ReplaceAll(escaped.Replace(text), "/", `\/`),
		"indented":                      indented,
		"a block of YAML":               "ca: |\n" + indented,
		"indented with tabs":            strings.ReplaceAll(text, "\n", "\n\t"),
		"blank lines between":           strings.ReplaceAll(text, "\n", "\n\n"),
		"quoted":                        `"` + text + `"`,
		"quoted lines":                  `"` + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\\n\"\n\"") + `"`,
		"byte order mark":               "\ufeff" + text,
		"spaces at the ends of lines":   strings.ReplaceAll(text, "\n", "  \n"),
		"base64":                        base64.StdEncoding.EncodeToString([]byte(text)),
		"base64 on lines":               base64.StdEncoding.EncodeToString([]byte(text))[:64] + "\n" + base64.StdEncoding.EncodeToString([]byte(text))[64:],
		"base64 of escaped line feeds":  base64.StdEncoding.EncodeToString([]byte(escaped.Replace(text))),
		"a sixth hyphen":                strings.ReplaceAll(text, "-----BEGIN", "------BEGIN"),
		"headers, which Go passes over": strings.ReplaceAll(text, "E-----\nMI", "E-----\nX-Note: a\n\nMI"),
	}
}

func TestCertificatesAsPeopleHaveThem(t *testing.T) {
	m := fixtures()
	for count := 1; count <= len(m.certificates); count++ {
		for name, text := range spellings(strings.Join(m.certificates[:count], "")) {
			got, err := pemtext.Certificates(text)
			if err != nil {
				t.Errorf("%d, %s: %v", count, name, err)
				continue
			}
			if found := inPool(got); !slices.EqualFunc(found, m.der[:count], bytes.Equal) {
				t.Errorf("%d, %s: %d of them count in\n%s", count, name, len(found), got)
			}
			if again, err := pemtext.Certificates(got); err != nil || again != got {
				t.Errorf("%d, %s: read again it is another: %v", count, name, err)
			}
		}
	}
}

// What all readers find the same in is returned as it was written.
func TestCertificatesAreLeftAlone(t *testing.T) {
	m := fixtures()
	key := publicPEM(&m.rsaKey.PublicKey)
	for name, text := range map[string]string{
		"one": m.certificates[0], "comments": "# a\n" + m.certificates[0] + "\n# b\n" + m.certificates[1],
		"CRLF": crlf.Replace(m.certificates[0]), "a public key beside it": key + m.certificates[0],
	} {
		if got, err := pemtext.Certificates(text); err != nil || got != text {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
}

func TestABundleAndDER(t *testing.T) {
	m := fixtures()
	bundle := strings.Repeat("# CA\n"+m.certificates[0]+m.certificates[1], 70)
	if got, err := pemtext.Certificates(spaces.Replace(bundle)); err != nil || len(inPool(got)) != 140 {
		t.Errorf("%d of 140: %v", len(inPool(got)), err)
	}
	got, err := pemtext.Certificates(base64.StdEncoding.EncodeToString(m.der[0]))
	if err != nil || got != m.certificates[0] {
		t.Errorf("DER in base64: %v %s", err, got)
	}
	one, other := base64.StdEncoding.EncodeToString([]byte(m.certificates[0])), base64.StdEncoding.EncodeToString([]byte(m.certificates[1]))
	for _, text := range []string{one + " " + other, one + other, one + "\n" + other + "\n"} {
		if got, err := pemtext.Certificates(text); err != nil || len(inPool(got)) != 2 {
			t.Errorf("two in base64, one behind the other: %v %s", err, got)
		}
	}
	if got, err := pemtext.Certificates(one + " " + other[:len(other)-5]); err == nil {
		t.Errorf("two in base64, one of them cut: %s", got)
	}
	got, err = pemtext.Certificates(strings.ReplaceAll(m.certificates[0], "CERTIFICATE", "X509 CERTIFICATE"))
	if err != nil || got != m.certificates[0] {
		t.Errorf("the old label: %v %s", err, got)
	}
}

func TestCertificatesRefuses(t *testing.T) {
	m := fixtures()
	good, second := m.certificates[0], m.certificates[1]
	lines := strings.Count(good, "\n")
	broken := block("CERTIFICATE", []byte("no certificate"))
	private := privatePEM(m.ecdsaKey)
	body := strings.Split(good, "\n")
	for name, row := range map[string]struct{ text, words string }{
		"nothing":                       {"\n", "there is no certificate"},
		"garbage":                       {"garbage", "there is no certificate"},
		"broken among good":             {good + broken + second, "block 2, line " + itoa(lines+1) + ": the certificate is damaged"},
		"cut short":                     {good + second[:len(second)-30], "block 2, line " + itoa(lines+1) + ": it is cut short"},
		"END without BEGIN":             {good + second[28:], "block 2, line "},
		"BEGIN twice":                   {strings.Replace(good, "-----END CERTIFICATE-----\n", "", 1) + second, "END CERTIFICATE is missing"},
		"another END":                   {strings.Replace(good, "END CERTIFICATE", "END PUBLIC KEY", 1), "followed by END PUBLIC KEY"},
		"four hyphens":                  {good + strings.Replace(second, "-----BEGIN", "----BEGIN", 1), "not spelled"},
		"typographic hyphens":           {good + strings.ReplaceAll(second, "-----", "—–—"), "not spelled"},
		"small letters":                 {good + strings.ReplaceAll(second, "BEGIN", "begin"), "not spelled"},
		"no markers on the second":      {good + strings.Join(strings.Split(second, "\n")[1:5], "\n"), "outside of BEGIN and END"},
		"commented out":                 {good + "# " + strings.ReplaceAll(strings.TrimSpace(second), "\n", "\n# "), `'#' is no character of base64`},
		"a letter too few":              {strings.Replace(good, body[3], body[3][1:], 1), "damaged or not whole"},
		"a plus that became a space":    {strings.Replace(good, body[3], " "+body[3][1:], 1), "damaged or not whole"},
		"an empty block":                {"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", "nothing between"},
		"headers without line feeds":    {"-----BEGIN CERTIFICATE----- X-Note: a " + noFeeds.Replace(good)[27:], "line feeds are missing"},
		"a private key beside it":       {good + private, "block 2, line " + itoa(lines+1) + ": this is a private key"},
		"a private key of old form":     {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nx", "private key"},
		"a private key without spaces":  {good + strings.ReplaceAll(noFeeds.Replace(private), " ", ""), "private key"},
		"a private key as certificate":  {good + strings.ReplaceAll(private, "PRIVATE KEY", "CERTIFICATE"), "private key"},
		"a private key in base64":       {base64.StdEncoding.EncodeToString([]byte(good + private)), "private key"},
		"a private key as DER":          {noFeeds.Replace(private)[27 : len(noFeeds.Replace(private))-25], "private key"},
		"a public key":                  {publicPEM(&m.rsaKey.PublicKey), "block 1, line 1: this is no certificate but the PUBLIC KEY"},
		"a certificate by another name": {block("PUBLIC KEY", m.der[0]), "another label"},
		"OpenSSL's own form":            {good + block("TRUSTED CERTIFICATE", m.der[1]), "openssl x509"},
		"a request":                     {good + block("CERTIFICATE REQUEST", m.der[1]), "CERTIFICATE REQUEST"},
		"a container":                   {block("PKCS7", m.der[1]), "openssl pkcs7"},
		"UTF-16":                        {"-\x00-\x00", "no text"},
		"DER as JSON leaves it":         {strings.ToValidUTF8(string(m.der[0][:4])+"\xff", "\ufffd"), "it is binary"},
		"not UTF-8":                     {"\xff\xfe", "no text"},
	} {
		got, err := pemtext.Certificates(row.text)
		if err == nil {
			t.Errorf("%s: taken as\n%s", name, got)
		} else if !strings.Contains(err.Error(), row.words) {
			t.Errorf("%s: %v, want %q", name, err, row.words)
		} else if len(err.Error()) > 300 || strings.Contains(err.Error(), body[3][:20]) {
			t.Errorf("%s: the error is long, or repeats what was sent: %v", name, err)
		}
	}
}

func itoa(n int) string { return big.NewInt(int64(n)).String() }
