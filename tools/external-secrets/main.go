// Command external-secrets has the Vault provider of External Secrets log in once, as its
// controller does for each ExternalSecret: by the pair of a SecretStore and the token that
// the API server of KUBECONFIG makes for a service account. It reads through that login which
// token it got, and prints as JSON the accessor, or the error.
//
// The controller revokes the token then. This does so if CLOSE is "true", since a test wants to
// look at the token.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/vault/api"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	esv1 "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"
	esmeta "github.com/external-secrets/external-secrets/apis/meta/v1"
	"github.com/external-secrets/external-secrets/pkg/provider/vault"
)

func main() {
	var said struct {
		Accessor string `json:"accessor"`
		Error    string `json:"error"`
		Text     string `json:"text"`
	}
	accessor, err := logIn(context.Background())
	said.Accessor = accessor
	if err != nil {
		said.Error, said.Text = fmt.Sprintf("%T", err), err.Error()
	}
	if refused := (*api.ResponseError)(nil); errors.As(err, &refused) {
		said.Error = fmt.Sprint("ResponseError, ", refused.StatusCode)
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func logIn(ctx context.Context) (accessor string, err error) {
	cluster, err := config.GetConfig()
	if err != nil {
		return "", err
	}
	kube, err := client.New(cluster, client.Options{})
	if err != nil {
		return "", err
	}
	namespace := os.Getenv("NAMESPACE")
	provider := vault.Provider{NewVaultClient: vault.NewVaultClient}
	secrets, err := provider.NewClient(ctx, store(namespace), kube, namespace)
	if err != nil {
		return "", err
	}
	value, err := secrets.GetSecret(ctx, esv1.ExternalSecretDataRemoteRef{Key: "auth/token/lookup-self", Property: "accessor"})
	if err == nil && os.Getenv("CLOSE") == "true" {
		err = secrets.Close(ctx)
	}
	return string(value), err
}

// store is the SecretStore that docs/clients.md tells of.
func store(namespace string) *esv1.SecretStore {
	return &esv1.SecretStore{
		TypeMeta:   metav1.TypeMeta{Kind: esv1.SecretStoreKind},
		ObjectMeta: metav1.ObjectMeta{Name: "vault", Namespace: namespace},
		Spec: esv1.SecretStoreSpec{Provider: &esv1.SecretStoreProvider{Vault: &esv1.VaultProvider{
			Server:  os.Getenv("VAULT_ADDR"),
			Version: esv1.VaultKVStoreV1,
			Auth: &esv1.VaultAuth{Kubernetes: &esv1.VaultKubernetesAuth{
				Path: os.Getenv("MOUNT"),
				Role: os.Getenv("ROLE"),
				ServiceAccountRef: &esmeta.ServiceAccountSelector{
					Name:      os.Getenv("SERVICE_ACCOUNT"),
					Audiences: []string{os.Getenv("AUDIENCE")},
				},
			}},
		}}},
	}
}
