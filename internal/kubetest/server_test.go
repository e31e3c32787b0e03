package kubetest_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	authv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	authclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config is that of an ordinary client of the server.
func config(s *kubetest.Server, bearer string) *rest.Config {
	return &rest.Config{
		Host:            s.URL,
		BearerToken:     bearer,
		TLSClientConfig: rest.TLSClientConfig{CAData: []byte(s.CAPEM)},
	}
}

func review(t *testing.T, c *rest.Config, token string, audiences ...string) (*authv1.TokenReview, error) {
	t.Helper()
	client, err := authclient.NewForConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	return client.TokenReviews().Create(t.Context(), &authv1.TokenReview{
		Spec: authv1.TokenReviewSpec{Token: token, Audiences: audiences},
	}, metav1.CreateOptions{})
}

func TestReviewInEveryEncoding(t *testing.T) {
	s := kubetest.Start(t)
	uid := s.AddServiceAccount("apps", "web")
	pod := s.AddPod("apps", "web-1", "node-1")
	token := s.Token("apps", "web", kubetest.Audience("vault", "other"), s.BoundToPod("web-1"))
	for _, contentType := range []string{runtime.ContentTypeJSON, runtime.ContentTypeProtobuf} {
		t.Run(contentType, func(t *testing.T) {
			s.Forget()
			c := config(s, s.Reviewer)
			c.ContentType = contentType
			got, err := review(t, c, token, "vault")
			if err != nil {
				t.Fatal(err)
			}
			user := got.Status.User
			if !got.Status.Authenticated || user.Username != "system:serviceaccount:apps:web" || user.UID != uid {
				t.Errorf("the review says %+v", got.Status)
			}
			if !slices.Equal(got.Status.Audiences, []string{"vault"}) {
				t.Errorf("valid for %q, want only the audience that was asked for", got.Status.Audiences)
			}
			if bound := user.Extra["authentication.kubernetes.io/pod-uid"]; !slices.Equal(bound, []string{pod}) {
				t.Errorf("bound to pod uid %q, want %q", bound, pod)
			}
			requests := s.Requests()
			if len(requests) != 1 || requests[0].ContentType != contentType || requests[0].Protocol != "HTTP/2.0" ||
				requests[0].Method != http.MethodPost || requests[0].Bearer != s.Reviewer {
				t.Errorf("recorded %+v", requests)
			}
		})
	}
}

func TestReviewRefuses(t *testing.T) {
	s := kubetest.Start(t)
	other := kubetest.Start(t)
	now := time.Now()
	for _, s := range []*kubetest.Server{s, other} {
		s.AddServiceAccount("apps", "web")
	}
	s.AddPod("apps", "gone", "node-1")
	podGone := s.Token("apps", "web", s.BoundToPod("gone"))
	s.DeletePod("apps", "gone")
	s.AddServiceAccount("apps", "recreated")
	recreated := s.Token("apps", "recreated")
	s.AddServiceAccount("apps", "recreated")
	secretGone := s.LegacyToken("apps", "web", "gone")
	s.DeleteSecret("apps", "gone")
	notTheCopy := s.LegacyToken("apps", "web", "changed")
	s.LegacyToken("apps", "web", "changed", kubetest.Claim("jti", "another"))

	for name, token := range map[string]string{
		"garbage":                  "garbage",
		"another cluster's":        other.Token("apps", "web"),
		"expired":                  s.Token("apps", "web", kubetest.Expiry(now.Add(-2*time.Minute))),
		"not valid yet":            s.Token("apps", "web", kubetest.Claim("nbf", now.Add(time.Hour).Unix())),
		"wrong issuer":             s.Token("apps", "web", kubetest.Claim("iss", "https://example.com")),
		"wrong audience":           s.Token("apps", "web", kubetest.Audience("vault")),
		"no such service account":  s.Token("apps", "nobody"),
		"recreated account":        recreated,
		"pod is gone":              podGone,
		"secret is gone":           secretGone,
		"not the secret's content": notTheCopy,
		"shared secret":            s.Token("apps", "web", kubetest.SignedWith(kubetest.SharedSecret(s.ECDSAKey().PublicPEM()))),
		"unsigned":                 kubetest.Forge(map[string]any{"alg": "none"}, map[string]any{"iss": s.Issuer}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := review(t, config(s, s.Reviewer), token)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status.Authenticated || got.Status.Error == "" || got.Status.User.Username != "" {
				t.Errorf("the review says %+v", got.Status)
			}
		})
	}
}

func TestReviewAcceptsEveryKindOfToken(t *testing.T) {
	s := kubetest.Start(t)
	s.AddServiceAccount("apps", "web")
	for name, token := range map[string]string{
		"ECDSA":  s.Token("apps", "web"),
		"RSA":    s.Token("apps", "web", kubetest.SignedWith(s.RSAKey())),
		"legacy": s.LegacyToken("apps", "web", "web-token"),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := review(t, config(s, s.Reviewer), token)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Status.Authenticated || !slices.Equal(got.Status.Audiences, []string{s.Issuer}) {
				t.Errorf("the review says %+v", got.Status)
			}
		})
	}
}

func TestCallersAreAuthenticatedAndAuthorized(t *testing.T) {
	s := kubetest.Start(t)
	s.AddServiceAccount("apps", "web")
	s.AddServiceAccount("apps", "limited")
	s.Grant("apps", "limited", kubetest.TokenReviews, kubetest.Namespaces)
	s.Revoke("apps", "limited", kubetest.Namespaces)
	for name, row := range map[string]struct {
		bearer          string
		review, get, sa func(error) bool
	}{
		"reviewer":            {s.Reviewer, none, none, none},
		"anonymous":           {"", apierrors.IsForbidden, apierrors.IsForbidden, apierrors.IsForbidden},
		"garbage":             {"garbage", apierrors.IsUnauthorized, apierrors.IsUnauthorized, apierrors.IsUnauthorized},
		"no permission":       {s.Token("apps", "web"), apierrors.IsForbidden, apierrors.IsForbidden, apierrors.IsForbidden},
		"not for the API":     {s.Token("apps", "limited", kubetest.Audience("vault")), apierrors.IsUnauthorized, apierrors.IsUnauthorized, apierrors.IsUnauthorized},
		"one permission only": {s.Token("apps", "limited"), none, apierrors.IsForbidden, apierrors.IsForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(s, row.bearer)
			core, err := coreclient.NewForConfig(c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := review(t, c, s.Token("apps", "web")); !row.review(err) {
				t.Errorf("create TokenReview: %v", err)
			}
			if _, err := core.Namespaces().Get(t.Context(), "apps", metav1.GetOptions{}); !row.get(err) {
				t.Errorf("get Namespace: %v", err)
			}
			if _, err := core.ServiceAccounts("apps").Get(t.Context(), "web", metav1.GetOptions{}); !row.sa(err) {
				t.Errorf("get ServiceAccount: %v", err)
			}
		})
	}
}

func none(err error) bool { return err == nil }

func TestObjectsAreServed(t *testing.T) {
	s := kubetest.Start(t)
	s.AddNamespace("apps", map[string]string{"team": "ci"})
	uid := s.AddServiceAccount("apps", "web")
	s.Annotate("apps", "web", map[string]string{"a": "b"})
	core, err := coreclient.NewForConfig(config(s, s.Reviewer))
	if err != nil {
		t.Fatal(err)
	}
	namespace, err := core.Namespaces().Get(t.Context(), "apps", metav1.GetOptions{})
	if err != nil || namespace.Labels["team"] != "ci" || namespace.Labels["kubernetes.io/metadata.name"] != "apps" {
		t.Errorf("namespace %+v, error %v", namespace, err)
	}
	account, err := core.ServiceAccounts("apps").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || string(account.UID) != uid || account.Annotations["a"] != "b" {
		t.Errorf("service account %+v, error %v", account, err)
	}
	s.DeleteServiceAccount("apps", "web")
	s.DeleteNamespace("apps")
	if _, err := core.Namespaces().Get(t.Context(), "apps", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a deleted namespace: %v", err)
	}
	if _, err := core.ServiceAccounts("apps").Get(t.Context(), "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a deleted service account: %v", err)
	}
}

func TestFaultsApplyAndHeal(t *testing.T) {
	s := kubetest.Start(t)
	core, err := coreclient.NewForConfig(config(s, s.Reviewer))
	if err != nil {
		t.Fatal(err)
	}
	get := func() error {
		_, err := core.Namespaces().Get(context.Background(), kubetest.ReviewerNamespace, metav1.GetOptions{})
		return err
	}
	s.FailTimes(1, kubetest.Status(http.StatusForbidden), kubetest.Namespaces)
	s.Fail(kubetest.Status(http.StatusTooManyRequests), kubetest.TokenReviews)
	if err := get(); !apierrors.IsForbidden(err) {
		t.Errorf("the first request: %v, want the fault", err)
	}
	if err := get(); err != nil {
		t.Errorf("the second request: %v, want none", err)
	}
	if _, err := review(t, config(s, s.Reviewer), s.Reviewer); !apierrors.IsTooManyRequests(err) {
		t.Errorf("a review: %v, want the fault", err)
	}
	s.Heal()
	if _, err := review(t, config(s, s.Reviewer), s.Reviewer); err != nil {
		t.Errorf("a review after Heal: %v", err)
	}
	if got := s.Count(kubetest.Namespaces); got != 2 {
		t.Errorf("%d requests for namespaces were recorded, want 2", got)
	}
}
