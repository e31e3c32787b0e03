package kubetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// authority is a CA.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         string
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := template("kubernetes", time.Now().Add(24*time.Hour))
	ca.IsCA = true
	ca.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &authority{
		certificate: ca,
		key:         key,
		pem:         string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
	}, nil
}

// issue makes a server certificate, with a key of its own.
func (a *authority) issue(o Options) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, serverTemplate(o), a.certificate, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// RotateCertificate gives the server another certificate of the same CA, and cuts
// all connections, as a restart with a renewed certificate does.
func (s *Server) RotateCertificate() { s.rotate(s.ca) }

// RotateCA gives the server a certificate of another CA, which CAPEM is from then on;
// nobody may read CAPEM meanwhile.
func (s *Server) RotateCA() {
	ca, err := newAuthority()
	if err != nil {
		panic(err) // the system's source of randomness does not fail
	}
	s.CAPEM = ca.pem
	s.rotate(ca)
}

func (s *Server) rotate(ca *authority) {
	certificate, err := ca.issue(s.options)
	if err != nil {
		panic(err)
	}
	s.ca = ca
	s.certificate.Store(&certificate)
	s.CloseConnections()
}

func serverTemplate(o Options) *x509.Certificate {
	names, notAfter := o.Names, o.NotAfter
	if len(names) == 0 {
		names = []string{"127.0.0.1", "localhost"}
	}
	if notAfter.IsZero() {
		notAfter = time.Now().Add(time.Hour)
	}
	c := template("kube-apiserver", notAfter)
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return c
}

func template(name string, notAfter time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             notAfter.Add(-48 * time.Hour),
		NotAfter:              notAfter,
		BasicConstraintsValid: true,
	}
}
