package kubetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// errInvalidBearerToken is what the API server says of tokens that it does not
// know how to verify.
var errInvalidBearerToken = errors.New("invalid bearer token")

// claims are those that the server reads, of both kinds of token.
type claims struct {
	Issuer     string           `json:"iss"`
	Audience   jwt.Audience     `json:"aud"`
	Expiry     *jwt.NumericDate `json:"exp"`
	NotBefore  *jwt.NumericDate `json:"nbf"`
	IssuedAt   *jwt.NumericDate `json:"iat"`
	ID         string           `json:"jti"`
	Kubernetes boundTo          `json:"kubernetes.io"`

	LegacyNamespace string `json:"kubernetes.io/serviceaccount/namespace"`
	LegacyName      string `json:"kubernetes.io/serviceaccount/service-account.name"`
	LegacyUID       string `json:"kubernetes.io/serviceaccount/service-account.uid"`
	LegacySecret    string `json:"kubernetes.io/serviceaccount/secret.name"`
}

type objectReference struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// boundTo is whose a projected token is, and what it ends with.
type boundTo struct {
	Namespace      string           `json:"namespace"`
	ServiceAccount objectReference  `json:"serviceaccount"`
	Secret         *objectReference `json:"secret"`
	Pod            *objectReference `json:"pod"`
	Node           *objectReference `json:"node"`
}

// leeway is what kube-apiserver allows clocks to differ, and how long it takes an object
// whose deletionTimestamp has passed for one that is still there.
const leeway = time.Minute

// authenticate tells whose a token is, and for which of the wanted audiences it is
// valid. The errors are the texts of kube-apiserver.
func (s *Server) authenticate(token string, wanted []string) (*authv1.UserInfo, []string, error) {
	c, err := s.verify(token)
	if err != nil {
		return nil, nil, err
	}
	user, err := s.lookUp(token, c)
	if err != nil {
		return nil, nil, fmt.Errorf("[%w, %w]", errInvalidBearerToken, err)
	}
	own := []string(c.Audience)
	if len(own) == 0 && c.Issuer == legacyIssuer {
		own = []string{s.Issuer} // implied
	}
	valid := slices.DeleteFunc(slices.Clone(own), func(audience string) bool { return !slices.Contains(wanted, audience) })
	if len(valid) == 0 {
		return nil, nil, fmt.Errorf("[%w, token audiences %q is invalid for the target audiences %q]", errInvalidBearerToken, own, wanted)
	}
	return user, valid, nil
}

func (s *Server) verify(token string) (*claims, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return nil, errInvalidBearerToken
	}
	for _, key := range s.keys.public() {
		c := &claims{}
		if parsed.Claims(key, c) == nil && (c.Issuer == s.Issuer || c.Issuer == legacyIssuer) {
			return c, nil
		}
	}
	return nil, errInvalidBearerToken
}

// lookUp checks that all that the token is bound to is still there, in the order of
// kube-apiserver.
func (s *Server) lookUp(token string, c *claims) (*authv1.UserInfo, error) {
	now := s.tokenTime()
	if err := checkTime(c, now); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	extra := map[string]authv1.ExtraValue{}
	namespace, account := c.Kubernetes.Namespace, c.Kubernetes.ServiceAccount
	if c.Issuer == legacyIssuer {
		namespace, account = c.LegacyNamespace, objectReference{c.LegacyName, c.LegacyUID}
		if err := s.checkSecret(token, namespace, c.LegacySecret); err != nil {
			return nil, err
		}
	}
	if err := s.checkAccount(namespace, account, now); err != nil {
		return nil, err
	}
	if c.Issuer != legacyIssuer {
		if err := s.checkBound(&c.Kubernetes, extra, now); err != nil {
			return nil, err
		}
		extra["authentication.kubernetes.io/credential-id"] = authv1.ExtraValue{"JTI=" + c.ID}
	}
	return &authv1.UserInfo{
		Username: username(namespace, account.Name),
		UID:      account.UID,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
		Extra:    extra,
	}, nil
}

func checkTime(c *claims, now time.Time) error {
	switch {
	case c.NotBefore != nil && now.Add(leeway).Before(c.NotBefore.Time()):
		return errors.New("service account token is not valid yet")
	case c.Expiry != nil && now.Add(-leeway).After(c.Expiry.Time()):
		return errors.New("service account token has expired")
	case c.IssuedAt != nil && now.Add(leeway).Before(c.IssuedAt.Time()):
		return errors.New("service account token is issued in the future")
	}
	return nil
}

// isOver tells whether an object that is being deleted counts as gone: its
// deletionTimestamp, which holds a pod's grace period already, has passed.
func isOver(object metav1.Object, now time.Time) bool {
	at := object.GetDeletionTimestamp()
	return at != nil && at.Time.Before(now.Add(-leeway))
}

func (s *Server) checkAccount(namespace string, account objectReference, now time.Time) error {
	found := s.serviceAccounts[objectKey{namespace, account.Name}]
	switch {
	case found == nil:
		return fmt.Errorf("serviceaccounts %q not found", account.Name)
	case string(found.UID) != account.UID:
		return fmt.Errorf("service account UID (%s) does not match claim (%s)", found.UID, account.UID)
	case isOver(found, now):
		return fmt.Errorf("service account %s/%s has been deleted", namespace, account.Name)
	}
	return nil
}

func (s *Server) checkSecret(token, namespace, name string) error {
	secret := s.secrets[objectKey{namespace, name}]
	if secret == nil {
		return errors.New("Token has been invalidated")
	}
	if string(secret.Data["token"]) != token {
		return errors.New("Token does not match server's copy")
	}
	return nil
}

// checkBound looks at the secret, then the pod, then the node. That of a pod is copied
// and not looked at.
func (s *Server) checkBound(to *boundTo, extra map[string]authv1.ExtraValue, now time.Time) error {
	errGone := errors.New("service account token has been invalidated")
	if to.Secret != nil {
		secret := s.secrets[objectKey{to.Namespace, to.Secret.Name}]
		switch {
		case secret == nil || isOver(secret, now):
			return errGone
		case string(secret.UID) != to.Secret.UID:
			return fmt.Errorf("secret UID (%s) does not match service account secret ref claim (%s)", secret.UID, to.Secret.UID)
		}
	}
	if to.Pod != nil {
		pod := s.pods[objectKey{to.Namespace, to.Pod.Name}]
		switch {
		case pod == nil || isOver(pod, now):
			return errGone
		case string(pod.UID) != to.Pod.UID:
			return fmt.Errorf("pod UID (%s) does not match service account pod ref claim (%s)", pod.UID, to.Pod.UID)
		}
		extra["authentication.kubernetes.io/pod-name"] = authv1.ExtraValue{to.Pod.Name}
		extra["authentication.kubernetes.io/pod-uid"] = authv1.ExtraValue{to.Pod.UID}
	}
	if to.Node == nil {
		return nil
	}
	if to.Pod == nil {
		node := s.nodes[to.Node.Name]
		switch {
		case node == nil || isOver(node, now):
			return errGone
		case string(node.UID) != to.Node.UID:
			return fmt.Errorf("node UID (%s) does not match service account node ref claim (%s)", node.UID, to.Node.UID)
		}
	}
	extra["authentication.kubernetes.io/node-name"] = authv1.ExtraValue{to.Node.Name}
	if to.Node.UID != "" { // that of a node that was there
		extra["authentication.kubernetes.io/node-uid"] = authv1.ExtraValue{to.Node.UID}
	}
	return nil
}
