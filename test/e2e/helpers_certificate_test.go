package e2e

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// clientPair is a certificate that an API server knows a reviewer by, and its key.
type clientPair struct{ certificate, key string }

// config puts it in the place of a reviewer's token.
func (p clientPair) config() fields {
	return fields{"token_reviewer_jwt": "", "kubernetes_client_cert": p.certificate, "kubernetes_client_key": p.key}
}

// newClientPair is one that the API server's CA for clients signed.
func (c *cluster) newClientPair(ctx context.Context, of testbed.ClientCertificate) (p clientPair, err error) {
	p.certificate, p.key, err = c.SignClient(ctx, of)
	secret("client key", p.key)
	return p, err
}

// makeCertified is makeReviewer for a user that is known by a certificate.
func (c *cluster) makeCertified(ctx context.Context, permissions ...permission) (clientPair, error) {
	user := "vault-reviewer-" + strings.ToLower(rand.Text()[:10])
	subject := rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}
	err := c.allowSubject(ctx, subject, user, permissions...)
	if err == nil {
		err = c.bind(ctx, subject, "system:service-account-issuer-discovery") // which all service accounts have
	}
	if err != nil {
		return clientPair{}, err
	}
	return c.newClientPair(ctx, testbed.ClientCertificate{User: user})
}

func (c *cluster) newCertified(t testing.TB, permissions ...permission) clientPair {
	t.Helper()
	pair, err := c.makeCertified(t.Context(), permissions...)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
