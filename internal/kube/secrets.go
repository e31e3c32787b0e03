package kube

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"vault-plugin-auth-kubernetes/internal/scrub"
)

// errEchoed is about a good answer that holds what was sent as a secret. Its parts
// become names and metadata, where a token has no place, and no API server does that.
var errEchoed = errors.New("the answer repeats a credential that was sent to it")

// Secrets are what no text about a request may hold: the reviewer's credential, the
// proxy's password, and more that the caller knows of.
func (c *Client) Secrets(more ...string) *scrub.Scrubber {
	return c.ofProxy.And(c.credential()).And(more...)
}

// secretsOfProxy are those of the user info of a proxy, as they are and as they are sent.
// A user without a password is a secret itself: some proxies take a key that way.
func secretsOfProxy(proxy *url.URL) []string {
	if proxy == nil || proxy.User == nil {
		return nil
	}
	user := proxy.User.Username()
	password, _ := proxy.User.Password()
	pair := user + ":" + password
	if password == "" {
		password = user
	}
	return []string{password, pair, base64.StdEncoding.EncodeToString([]byte(pair))}
}

// ProxySecrets are those of the URL of a proxy, be it one that cannot be parsed.
func ProxySecrets(text string) []string {
	if proxy, err := url.Parse(text); err == nil {
		return secretsOfProxy(proxy)
	}
	_, rest, _ := strings.Cut(text, "://")
	if end := strings.LastIndexByte(rest, '@'); end > 0 {
		_, password, _ := strings.Cut(rest[:end], ":")
		return []string{rest[:end], password}
	}
	return nil
}

// errProxy leaves out the setting, which net/http repeats, password and all.
var errProxy = errors.New("the proxy in the environment of Vault's process is no URL")

// environmentProxy is the proxy of the environment.
func environmentProxy(r *http.Request) (*url.URL, error) {
	proxy, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, errProxy
	}
	return proxy, nil
}

type sentKey struct{}

// sent are the secrets of one request, as many times as it is made. What is said about
// the request is cleared of them here, once, before anybody else hears of it.
type sent struct {
	secrets *scrub.Scrubber
	// plain says that it is sent without TLS, certified that the reviewer's certificate is sent.
	plain, certified bool
	// cleared is the error that was cleared last.
	cleared *Error
	// said is what else the last answer had that was an error and not the API server's.
	said string
}

func sentIn(ctx context.Context) *sent {
	if s, ok := ctx.Value(sentKey{}).(*sent); ok {
		return s
	}
	return &sent{}
}

// cleaned is an error without the secrets. That of a request which was not made has none:
// its cause was cleared of those of the request that failed. To look would take more time
// than all else that such a refusal costs, of which there may be thousands.
func (s *sent) cleaned(err error) error {
	var failed *Error
	if errors.As(err, &failed) {
		failed.plain, failed.certified = s.plain, s.certified
		if errors.Is(err, ErrNotAsked) {
			return err
		}
		s.clear(failed)
		if s.said != "" && (failed.Failure == Gateway || failed.Failure == Malformed) {
			failed.Err = fmt.Errorf("%w; the answer has %s", failed.Err, s.said)
		}
	}
	return err
}

// clear takes the secrets out of the cause of an error, once.
func (s *sent) clear(failed *Error) {
	if s.cleared != failed {
		failed.Err = s.secrets.Error(failed.Err)
		s.cleared = failed
	}
}

// review clears the answer to a TokenReview. What it says of a user who was
// authenticated is an identity, and must not be changed: so it is refused.
func (s *sent) review(status *authv1.TokenReviewStatus) error {
	if status.Error != "" {
		status.Error = s.secrets.Text(status.Error)
	}
	if !status.Authenticated {
		return nil
	}
	texts := append([]string{status.User.Username, status.User.UID}, status.Audiences...)
	for key, values := range status.User.Extra {
		texts = append(append(texts, key), values...)
	}
	return s.none(s.secrets, texts...)
}

// object refuses an object that has a token among its labels and annotations. Tokens of
// others may be in them, and so it is the signature that counts.
func (s *sent) object(meta metav1.ObjectMeta) error {
	signatures := s.secrets.Signatures()
	for _, texts := range []map[string]string{meta.Labels, meta.Annotations} {
		for key, value := range texts {
			if err := s.none(signatures, key, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *sent) none(secrets *scrub.Scrubber, texts ...string) error {
	for _, text := range texts {
		if secrets.Holds(text) {
			return errEchoed
		}
	}
	return nil
}

// maxErrorBytes bounds the body of an answer that is an error; what comes after is left
// out.
const maxErrorBytes = 64 << 10

// clearedBody is the body of an answer that is an error, without the secrets. client-go
// quotes a part of it, and the half of a secret is not known for what it is: so they are
// taken out before.
type clearedBody struct {
	io.ReadCloser
	known   *sent
	header  http.Header
	cleared io.Reader // nil before the first reading
}

func (b *clearedBody) Read(p []byte) (int, error) {
	if b.cleared == nil {
		body, err := io.ReadAll(io.LimitReader(b.ReadCloser, maxErrorBytes+1))
		if len(body) > maxErrorBytes {
			body = []byte(scrub.Cut(string(body), maxErrorBytes))
		}
		body = b.known.secrets.Body(body)
		b.known.noteAnswer(b.header, body)
		b.cleared = bytes.NewReader(body)
		if err != nil {
			b.cleared = io.MultiReader(b.cleared, failing{err})
		}
	}
	return b.cleared.Read(p)
}

// failing is a reader that has come upon an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
