package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/pemtext"
	"vault-plugin-auth-kubernetes/internal/token"
	"vault-plugin-auth-kubernetes/internal/typo"
)

// Vault's words for PEM that holds nothing of use.
const (
	NoCertificates = "The provided CA PEM data contains no valid certificates"
	NoKeys         = "data does not contain any valid RSA or ECDSA public keys"
)

// TakeTexts reads the texts that a write brings as people have them, and refuses those of
// which part would not count, or that mean something else than was meant. A value that is
// stored already, be it by Vault's own method, goes on as it is. The warnings are
// about what was taken and could be clearer. rawKeys is pem_keys as it was sent, nil if it
// was not.
func (c *Entry) TakeTexts(before *Entry, rawKeys any) (warnings []string, err error) {
	if before == nil {
		before = &Entry{}
	}
	if c.Host == "" {
		return nil, nil // Vault refuses this first
	}
	if c.CACert != "" && c.CACert != before.CACert {
		if c.CACert, err = certificatesOf(c.CACert); err != nil {
			return nil, err
		}
	}
	if len(c.PEMKeys) > 0 && !slices.Equal(c.PEMKeys, before.PEMKeys) {
		if c.PEMKeys, err = keysOf(c.PEMKeys, rawKeys); err != nil {
			return nil, err
		}
	}
	if c.Host != before.Host {
		advice, err := kube.CheckHost(c.Host)
		if err != nil {
			return nil, fmt.Errorf("kubernetes_host: %w", err)
		}
		if advice != "" {
			warnings = append(warnings, "kubernetes_host: "+advice)
		}
	}
	if advice := typo.Issuer(c.Issuer); advice != "" && c.Issuer != before.Issuer {
		warnings = append(warnings, "issuer: "+advice)
	}
	advice, err := c.takeReviewerText(before)
	if err != nil {
		return warnings, err
	}
	if advice != "" {
		warnings = append(warnings, advice)
	}
	return warnings, c.takeClientTexts(before)
}

// takeReviewerText reads token_reviewer_jwt. advice is about one that is taken, and may be none.
func (c *Entry) takeReviewerText(before *Entry) (advice string, err error) {
	if c.TokenReviewerJWT == before.TokenReviewerJWT {
		return "", nil
	}
	c.TokenReviewerJWT = decodedToken(c.TokenReviewerJWT)
	if err := checkReviewerText(c.TokenReviewerJWT); err != nil {
		return "", err
	}
	if text := strings.TrimSpace(c.TokenReviewerJWT); len(text) <= maxPlaceholder && wordsAlone.MatchString(text) {
		return "What was sent as the JWT looks like a name, and is taken as it is; the JWT itself is what kubectl create token NAME -n NS prints", nil
	}
	return "", nil
}

func certificatesOf(text string) (string, error) {
	bundle, err := pemtext.Certificates(text)
	switch {
	case errors.Is(err, pemtext.ErrNone):
		return "", errors.New(NoCertificates + fileHint("kubernetes_ca_cert", text, printsCA))
	case err != nil:
		return "", fmt.Errorf("%s: %w", NoCertificates, err)
	}
	return bundle, nil
}

// betweenKeys is a comma that stands between two documents, and not within a comment.
var betweenKeys = regexp.MustCompile(`(-----)\s*,|,\s*(-----BEGIN)`)

// keysOf reads pem_keys. The framework takes a text apart at every comma, also at those
// in the comments that openssl writes, so such a text is read as it was sent.
func keysOf(documents []string, raw any) ([]string, error) {
	if text, ok := raw.(string); ok && strings.Contains(text, "BEGIN") {
		documents = documents[:0:0]
		for text != "" {
			at := betweenKeys.FindStringIndex(text)
			if at == nil {
				documents = append(documents, text)
				break
			}
			comma := at[0] + strings.IndexByte(text[at[0]:at[1]], ',')
			documents = append(documents, text[:comma])
			text = text[comma+1:]
		}
	}
	keys, err := pemtext.Keys(documents)
	switch {
	case errors.Is(err, pemtext.ErrNone):
		return nil, errors.New(NoKeys + fileHint("pem_keys", strings.Join(documents, ","), nil))
	case err != nil:
		return nil, fmt.Errorf("%s: %w", NoKeys, err)
	}
	return keys, nil
}

var (
	// fileName is a path, or a name that ends as those of files with tokens, keys and
	// certificates do.
	fileName = regexp.MustCompile(`^[A-Za-z0-9._~/-]{1,128}$`)
	fileEnd  = regexp.MustCompile(`(?i)\.(jwt|txt|tok|token|pem|crt|cer|key|pub|der|json|ya?ml|conf)$`)
	pathHead = regexp.MustCompile(`^(\.{1,2}/|~/|/[A-Za-z0-9._-]+/)`)
	// unexpanded is the name of a variable that no shell has put a value in place of.
	unexpanded = regexp.MustCompile(`^\$(\{\w+\}|\w+)$`)
)

// What prints what is meant, of documents that people have at hand.
var (
	printsCA = map[typo.Document]string{
		typo.Kubeconfig: `kubectl config view --raw --minify --flatten -o jsonpath='{.clusters[0].cluster.certificate-authority-data}'`,
		typo.Object:     `kubectl get secret NAME -n NS -o jsonpath='{.data.ca\.crt}'`,
	}
	printsToken = map[typo.Document]string{
		typo.Kubeconfig: `kubectl create token NAME -n NS`,
		typo.Object:     `kubectl get secret NAME -n NS -o jsonpath='{.data.token}'`,
	}
	printsClient = func(part string) map[typo.Document]string {
		return map[typo.Document]string{
			typo.Kubeconfig: `kubectl config view --raw --minify --flatten -o jsonpath='{.users[0].user.client-` + part + `-data}' | base64 -d`,
		}
	}
	// labelledToken is how kubectl describe, and YAML, show a token.
	labelledToken = regexp.MustCompile(`(?im)^\s*["']?[a-z_-]*(token|jwt)["']?\s*[:=]\s*["']?eyJ`)
	// wordsAlone is what a manual writes in the place of a token.
	wordsAlone = regexp.MustCompile(`(?i)^([a-z]+[_-])*(token|jwt)([_-][a-z]+)*$`)
)

// maxPlaceholder bounds what is taken for a name: a longer text may be a token, of words.
const maxPlaceholder = 40

// IsFileName tells whether a text is plainly the name of a file, and not what is in it.
func IsFileName(text string) bool {
	return fileName.MatchString(text) && (fileEnd.MatchString(text) || pathHead.MatchString(text))
}

// fileHint shows the right form where the name of a file stands for what is in it, and
// where a whole document, or what a command said, stands for what is meant of it. prints is
// the command that prints that, by the kind of the document.
func fileHint(field, text string, prints map[typo.Document]string) string {
	text = strings.TrimSpace(text)
	document := typo.DocumentOf(text)
	switch {
	case document == typo.Complaint:
		return ": it is what a command said that failed"
	case prints[document] != "":
		return fmt.Sprintf(": it is %s as a whole; what goes here prints %s", document, prints[document])
	case document != "":
		return fmt.Sprintf(": it is %s as a whole, and not the part of it that goes here", document)
	case strings.HasPrefix(text, "@"):
		return ": @ reads a file with the vault command alone; elsewhere send what is in the file"
	case unexpanded.MatchString(text):
		return ": it is a variable without its value"
	case IsFileName(text) && !token.LooksLike(text):
		if !fileEnd.MatchString(text) {
			text = "FILE" // an opaque token may look so
		}
		return fmt.Sprintf(": it is the name of a file; with the vault command, %s=@%s sends what is in it", field, text)
	}
	return ""
}

// decodedToken is a token, or the one that a text is the base64 of, as the data of a secret
// has it.
func decodedToken(text string) string {
	plain := strings.Join(strings.Fields(text), "")
	decoded, err := base64.StdEncoding.DecodeString(plain)
	if err != nil {
		return text
	}
	inner := strings.TrimSpace(string(decoded))
	if _, err := token.Parse(inner); err != nil {
		return text
	}
	return inner
}

// checkReviewerText refuses what no credential can look like. It may be opaque, since the
// API server can have a list of static tokens, so only what cannot be sent, or is plainly
// something else, is refused. Errors repeat nothing but the name of a file.
func checkReviewerText(text string) error {
	text = strings.TrimSpace(text)
	if _, err := token.Parse(text); text == "" || err == nil {
		return nil
	}
	const field = "token_reviewer_jwt"
	if reason := typo.Nothing(text, field+`=""`); reason != "" {
		return errors.New(field + ": " + reason)
	}
	if hint := fileHint(field, text, printsToken); hint != "" {
		return errors.New(field + hint)
	}
	switch {
	case labelledToken.MatchString(text):
		return errors.New(field + ": there is more than the token; give what follows after token:, alone and on one line")
	case strings.ContainsAny(text, "<>{}"):
		return errors.New(field + ": it is a placeholder, or a document of another kind; give the token alone, which kubectl create token NAME -n NS prints")
	case strings.ContainsAny(text[:1]+text[len(text)-1:], "\"'`"):
		return errors.New(field + ": it has quotes around it; give the token alone")
	case len(text) > 6 && strings.EqualFold(text[:6], "bearer") && strings.ContainsAny(text[6:7], " :\t"):
		return errors.New(field + ": give the token alone, without Bearer before it")
	case token.LooksLike(text) && strings.Contains(text, `\`):
		return errors.New(field + ": it has a backslash in it, such as of a line feed that was escaped; give the token alone")
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New(field + ": it has line feeds, spaces or other characters in it that no token has; give the token on one line")
	}
	return nil
}
