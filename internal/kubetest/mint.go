package kubetest

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"time"

	"github.com/go-jose/go-jose/v4"
	corev1 "k8s.io/api/core/v1"
)

// TokenLifetime is how long minted tokens are valid, which is what clients ask for
// by default.
const TokenLifetime = time.Hour

// legacyIssuer is the issuer of secret-based tokens.
const legacyIssuer = "kubernetes/serviceaccount"

// Draft is a token before it is signed.
type Draft struct {
	Claims map[string]any
	Key    Key
	// Header overrides or adds to the header fields alg, kid and typ.
	Header map[string]any
}

// Change changes a token before it is signed, into one that a cluster would not
// issue if need be.
type Change func(*Draft)

// Claim sets a claim.
func Claim(name string, value any) Change { return func(d *Draft) { d.Claims[name] = value } }

// WithoutClaim removes a claim.
func WithoutClaim(name string) Change { return func(d *Draft) { delete(d.Claims, name) } }

// Audience sets the aud claim to a list.
func Audience(audiences ...string) Change { return Claim("aud", audiences) }

// Expiry sets the exp claim.
func Expiry(at time.Time) Change { return Claim("exp", at.Unix()) }

// SignedWith signs with another key.
func SignedWith(key Key) Change { return func(d *Draft) { d.Key = key } }

// Subject makes the token say that it belongs to another service account,
// everywhere a token says so, whether it is projected or legacy.
func Subject(namespace, name, uid string) Change {
	return func(d *Draft) {
		d.Claims["sub"] = username(namespace, name)
		if own, ok := d.Claims["kubernetes.io"].(map[string]any); ok {
			own["namespace"] = namespace
			own["serviceaccount"] = ref(name, uid)
			return
		}
		d.Claims["kubernetes.io/serviceaccount/namespace"] = namespace
		d.Claims["kubernetes.io/serviceaccount/service-account.name"] = name
		d.Claims["kubernetes.io/serviceaccount/service-account.uid"] = uid
	}
}

// BoundToPod binds a projected token to a pod of the service account's namespace
// that exists.
func (s *Server) BoundToPod(name string) Change {
	return func(d *Draft) {
		own := d.Claims["kubernetes.io"].(map[string]any)
		s.mu.Lock()
		defer s.mu.Unlock()
		pod := s.pods[objectKey{own["namespace"].(string), name}]
		own["pod"] = ref(pod.Name, string(pod.UID))
		if pod.Spec.NodeName != "" {
			own["node"] = ref(pod.Spec.NodeName, string(s.ensureNode(pod.Spec.NodeName).UID))
		}
	}
}

// BoundToNode binds a projected token to a node alone, as kubectl create token
// --bound-object-kind=Node does. The node is made if need be.
func (s *Server) BoundToNode(name string) Change {
	return func(d *Draft) {
		s.mu.Lock()
		defer s.mu.Unlock()
		d.Claims["kubernetes.io"].(map[string]any)["node"] = ref(name, string(s.ensureNode(name).UID))
	}
}

// BoundToSecret binds a projected token to a secret, which is made if need be.
func (s *Server) BoundToSecret(name string) Change {
	return func(d *Draft) {
		own := d.Claims["kubernetes.io"].(map[string]any)
		s.mu.Lock()
		defer s.mu.Unlock()
		key := objectKey{own["namespace"].(string), name}
		if s.secrets[key] == nil {
			s.secrets[key] = &corev1.Secret{ObjectMeta: s.meta(key.namespace, name)}
		}
		own["secret"] = ref(name, string(s.secrets[key].UID))
	}
}

// Lifetime sets iat, nbf and exp to a token that is issued now.
func Lifetime(d time.Duration) Change {
	return func(draft *Draft) {
		now := time.Now()
		draft.Claims["iat"], draft.Claims["nbf"], draft.Claims["exp"] = now.Unix(), now.Unix(), now.Add(d).Unix()
	}
}

func ref(name, uid string) map[string]any { return map[string]any{"name": name, "uid": uid} }

// Token mints a projected token for a service account. The account need not exist;
// the token is void then.
func (s *Server) Token(namespace, name string, changes ...Change) string {
	now := s.tokenTime()
	d := &Draft{
		Key: s.ECDSAKey(),
		Claims: map[string]any{
			"iss": s.Issuer,
			"sub": username(namespace, name),
			"aud": []string{s.Issuer},
			"exp": now.Add(TokenLifetime).Unix(),
			"iat": now.Unix(),
			"nbf": now.Unix(),
			"jti": string(newUID()),
			"kubernetes.io": map[string]any{
				"namespace":      namespace,
				"serviceaccount": ref(name, s.uidOf(namespace, name)),
			},
		},
	}
	return d.Sign(changes...)
}

// LegacyToken mints a token of the kind that lives in a secret, and makes the
// secret. It has no audience and does not expire.
func (s *Server) LegacyToken(namespace, name, secret string, changes ...Change) string {
	const prefix = "kubernetes.io/serviceaccount/"
	d := &Draft{
		Key: s.ECDSAKey(),
		Claims: map[string]any{
			"iss":                           legacyIssuer,
			"sub":                           username(namespace, name),
			prefix + "namespace":            namespace,
			prefix + "secret.name":          secret,
			prefix + "service-account.name": name,
			prefix + "service-account.uid":  s.uidOf(namespace, name),
		},
	}
	token := d.Sign(changes...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[objectKey{namespace, secret}] = &corev1.Secret{
		ObjectMeta: s.meta(namespace, secret),
		Type:       corev1.SecretTypeServiceAccountToken,
		Data:       map[string][]byte{corev1.ServiceAccountTokenKey: []byte(token)},
	}
	return token
}

func (s *Server) uidOf(namespace, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if account := s.serviceAccounts[objectKey{namespace, name}]; account != nil {
		return string(account.UID)
	}
	return string(newUID())
}

// Sign applies the changes and returns the token in compact form. It panics if the
// JOSE library refuses the key.
func (d *Draft) Sign(changes ...Change) string {
	for _, change := range changes {
		change(d)
	}
	options := &jose.SignerOptions{}
	if d.Key.ID != "" {
		options.WithHeader("kid", d.Key.ID)
	}
	for name, value := range d.Header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: d.Key.Algorithm, Key: d.Key.Private}, options)
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(d.Claims)
	if err != nil {
		panic(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return token
}

// Forge puts a token together from parts that need not fit each other.
func Forge(header, claims map[string]any, signature []byte) string {
	return segment(header) + "." + segment(claims) + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func segment(fields map[string]any) string {
	text, err := json.Marshal(maps.Clone(fields))
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}
