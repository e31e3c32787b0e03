package pemtext

import (
	"crypto/x509"
	"encoding/pem"
)

// HasCertificate tells whether a PEM bundle holds at least one certificate that
// parses.
func HasCertificate(bundle string) bool {
	for rest := []byte(bundle); ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return false
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err == nil {
			return true
		}
	}
}
