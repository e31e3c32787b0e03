// Command cert-manager has cert-manager set up an Issuer of the kind Vault once, as its
// controller does: it logs in with a token that the API server of KUBECONFIG makes for a
// service account. It prints as JSON what the condition Ready of the Issuer then says.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/issuer/vault"
)

func main() {
	var said struct {
		Error string `json:"error"`
		Text  string `json:"text"`
	}
	ready, err := setUp(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if ready.Status != cmmeta.ConditionTrue {
		said.Error, said.Text = ready.Reason, ready.Message
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func setUp(ctx context.Context) (*v1.IssuerCondition, error) {
	namespace := os.Getenv("NAMESPACE")
	factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{
		Kubeconfig: os.Getenv("KUBECONFIG"), Namespace: namespace,
	})
	if err != nil {
		return nil, err
	}
	cm, err := factory.Build("issuers")
	if err != nil {
		return nil, err
	}
	kind, err := vault.NewVault(cm)
	if err != nil {
		return nil, err
	}
	one := issuer(namespace)
	refused := kind.Setup(ctx, one) // the condition has it as well
	for _, condition := range one.Status.Conditions {
		if condition.Type == v1.IssuerConditionReady {
			return &condition, nil
		}
	}
	return nil, errors.Join(errors.New("the Issuer has no condition Ready"), refused)
}

// issuer is the one that docs/clients.md tells of.
func issuer(namespace string) *v1.Issuer {
	return &v1.Issuer{
		ObjectMeta: metav1.ObjectMeta{Name: "vault", Namespace: namespace},
		Spec: v1.IssuerSpec{IssuerConfig: v1.IssuerConfig{Vault: &v1.VaultIssuer{
			Server: os.Getenv("VAULT_ADDR"),
			Path:   "pki/sign/web",
			Auth: v1.VaultAuth{Kubernetes: &v1.VaultKubernetesAuth{
				Path: "/v1/auth/" + os.Getenv("MOUNT"),
				Role: os.Getenv("ROLE"),
				ServiceAccountRef: &v1.ServiceAccountRef{
					Name:           os.Getenv("SERVICE_ACCOUNT"),
					TokenAudiences: []string{os.Getenv("AUDIENCE")},
				},
			}},
		}}},
	}
}
