package testbed

import (
	"context"
	"crypto/rand"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

var getOptions = metav1.GetOptions{}

// LegacyToken stores a secret-based token for an existing service account, as
// the token controller of a whole cluster does, and returns it. It has no
// expiry and no audience, and is valid until its secret or the service account
// is deleted. Each call makes a new secret, whose name is in the token.
func LegacyToken(ctx context.Context, c *Cluster, namespace, serviceAccount string) (string, error) {
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return "", err
	}
	account, err := client.CoreV1().ServiceAccounts(namespace).Get(ctx, serviceAccount, getOptions)
	if err != nil {
		return "", err
	}
	// The name goes into the token, and the token into the secret.
	name := serviceAccount + "-token-" + strings.ToLower(rand.Text()[:8])
	token, err := SignToken(c.SigningKeyPEM, legacyClaims(account, name))
	if err != nil {
		return "", err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: name,
			Annotations: map[string]string{
				corev1.ServiceAccountNameKey: serviceAccount,
				corev1.ServiceAccountUIDKey:  string(account.UID),
			},
		},
		Type: corev1.SecretTypeServiceAccountToken,
		Data: map[string][]byte{
			corev1.ServiceAccountTokenKey:     []byte(token),
			corev1.ServiceAccountRootCAKey:    []byte(c.CAPEM),
			corev1.ServiceAccountNamespaceKey: []byte(namespace),
		},
	}
	_, err = client.CoreV1().Secrets(namespace).Create(ctx, secret, metav1.CreateOptions{})
	return token, err
}

func legacyClaims(account *corev1.ServiceAccount, secretName string) map[string]any {
	return map[string]any{
		"iss":                                    "kubernetes/serviceaccount",
		"sub":                                    "system:serviceaccount:" + account.Namespace + ":" + account.Name,
		"kubernetes.io/serviceaccount/namespace": account.Namespace,
		"kubernetes.io/serviceaccount/secret.name":          secretName,
		"kubernetes.io/serviceaccount/service-account.name": account.Name,
		"kubernetes.io/serviceaccount/service-account.uid":  string(account.UID),
	}
}
