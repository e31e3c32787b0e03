package kubetest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	authv1 "k8s.io/api/authentication/v1"
	authzv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
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
	ID         string           `json:"jti"`
	Kubernetes struct {
		Namespace      string          `json:"namespace"`
		ServiceAccount objectReference `json:"serviceaccount"`
		Pod            objectReference `json:"pod"`
		Node           objectReference `json:"node"`
	} `json:"kubernetes.io"`

	LegacyNamespace string `json:"kubernetes.io/serviceaccount/namespace"`
	LegacyName      string `json:"kubernetes.io/serviceaccount/service-account.name"`
	LegacyUID       string `json:"kubernetes.io/serviceaccount/service-account.uid"`
	LegacySecret    string `json:"kubernetes.io/serviceaccount/secret.name"`
}

type objectReference struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

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

// lookUp checks that all that the token is bound to is still there.
func (s *Server) lookUp(token string, c *claims) (*authv1.UserInfo, error) {
	now := time.Now()
	if c.Expiry != nil && now.After(c.Expiry.Time()) {
		return nil, errors.New("service account token has expired")
	}
	if c.NotBefore != nil && now.Before(c.NotBefore.Time()) {
		return nil, errors.New("service account token is not valid yet")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	extra := map[string]authv1.ExtraValue{}
	namespace, account := c.Kubernetes.Namespace, c.Kubernetes.ServiceAccount
	var err error
	if c.Issuer == legacyIssuer {
		namespace, account = c.LegacyNamespace, objectReference{c.LegacyName, c.LegacyUID}
		err = s.checkSecret(token, namespace, c.LegacySecret)
	} else {
		extra["authentication.kubernetes.io/credential-id"] = authv1.ExtraValue{"JTI=" + c.ID}
		err = s.checkPod(c, extra)
	}
	if err != nil {
		return nil, err
	}
	if err := s.checkAccount(namespace, account); err != nil {
		return nil, err
	}
	return &authv1.UserInfo{
		Username: username(namespace, account.Name),
		UID:      account.UID,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
		Extra:    extra,
	}, nil
}

func (s *Server) checkAccount(namespace string, account objectReference) error {
	found := s.serviceAccounts[objectKey{namespace, account.Name}]
	if found == nil {
		return fmt.Errorf("serviceaccounts %q not found", account.Name)
	}
	if string(found.UID) != account.UID {
		return fmt.Errorf("service account UID (%s) does not match claim (%s)", found.UID, account.UID)
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

func (s *Server) checkPod(c *claims, extra map[string]authv1.ExtraValue) error {
	reportNode := func() {
		if node := c.Kubernetes.Node; node.Name != "" {
			extra["authentication.kubernetes.io/node-name"] = authv1.ExtraValue{node.Name}
			if node.UID != "" { // that of a node that was there
				extra["authentication.kubernetes.io/node-uid"] = authv1.ExtraValue{node.UID}
			}
		}
	}
	bound := c.Kubernetes.Pod
	if bound.Name == "" {
		reportNode()
		return nil
	}
	pod := s.pods[objectKey{c.Kubernetes.Namespace, bound.Name}]
	if pod == nil || string(pod.UID) != bound.UID {
		return errors.New("service account token has been invalidated")
	}
	extra["authentication.kubernetes.io/pod-name"] = authv1.ExtraValue{bound.Name}
	extra["authentication.kubernetes.io/pod-uid"] = authv1.ExtraValue{bound.UID}
	reportNode()
	return nil
}

// anonymous is who sends no credential.
const anonymous = "system:anonymous"

// authenticateCaller returns who sent the request.
func (s *Server) authenticateCaller(r *http.Request) (*authv1.UserInfo, *apierrors.StatusError) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return &authv1.UserInfo{Username: anonymous, Groups: []string{"system:unauthenticated"}}, nil
	}
	token, _ := strings.CutPrefix(header, "Bearer ")
	user, _, err := s.authenticate(token, []string{s.Issuer})
	if err != nil {
		return nil, apierrors.NewUnauthorized("Unauthorized")
	}
	return user, nil
}

// authorize answers as RBAC does.
func (s *Server) authorize(user string, t target) *apierrors.StatusError {
	if s.allows(user, t.resource) {
		return nil
	}
	resource := schema.GroupResource{Group: groupOf(t.resource), Resource: string(t.resource)}
	verb, scope := "get", "at the cluster scope"
	switch t.resource {
	case TokenReviews, SelfReviews, AccessReviews:
		verb = "create"
	case ServiceAccounts:
		scope = fmt.Sprintf("in the namespace %q", t.namespace)
	case Namespaces:
		scope = fmt.Sprintf("in the namespace %q", t.name)
	default:
		return apierrors.NewForbidden(resource, "", fmt.Errorf("user %q cannot access this path", user))
	}
	return apierrors.NewForbidden(resource, t.name,
		fmt.Errorf("User %q cannot %s resource %q in API group %q %s", user, verb, resource.Resource, resource.Group, scope))
}

// allows tells whether a user has a permission, given or by default.
func (s *Server) allows(user string, resource Resource) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.revoked[user][resource] {
		return false
	}
	switch resource {
	case Version:
		return true
	case SigningKeys, Discovery, SelfReviews, AccessReviews:
		return user != anonymous
	}
	return s.granted[user][resource]
}

func groupOf(resource Resource) string {
	switch resource {
	case TokenReviews, SelfReviews:
		return authv1.GroupName
	case AccessReviews:
		return authzv1.GroupName
	}
	return ""
}
