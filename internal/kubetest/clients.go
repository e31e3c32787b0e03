package kubetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// ClientCertificate makes a certificate and its key, both as PEM, by which the server knows
// a user until notAfter. Other servers do not.
func (s *Server) ClientCertificate(user string, notAfter time.Time) (certificate, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // the system's source of randomness does not fail
	}
	c := template(user, notAfter)
	if c.NotBefore.After(time.Now()) {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, c, s.clients.certificate, private.Public(), s.clients.key)
	if err != nil {
		panic(err)
	}
	ofKey, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: ofKey}))
}

// GrantUser is Grant for a user that is no service account.
func (s *Server) GrantUser(user string, permissions ...Resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.granted[user] == nil {
		s.granted[user] = map[Resource]bool{}
	}
	for _, permission := range permissions {
		s.granted[user][permission] = true
	}
}

// RevokeUser is Revoke for a user that is no service account.
func (s *Server) RevokeUser(user string, permissions ...Resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, permission := range permissions {
		delete(s.granted[user], permission)
	}
}

// userOf is whom the API server knows by a certificate.
func (s *Server) userOf(sent []*x509.Certificate) (*authv1.UserInfo, *apierrors.StatusError) {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(s.clients.parsed())
	for _, c := range sent[1:] {
		intermediates.AddCert(c)
	}
	_, err := sent[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: s.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, apierrors.NewUnauthorized("Unauthorized")
	}
	return &authv1.UserInfo{Username: sent[0].Subject.CommonName, Groups: []string{"system:authenticated"}}, nil
}

func (a *authority) parsed() *x509.Certificate {
	block, _ := pem.Decode([]byte(a.pem))
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic(err) // it was made here
	}
	return c
}
