package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclparse"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// chartValues is what deploy/helm/values.yaml says, under the names that HashiCorp's
// chart has; what the chart passes on to Kubernetes has Kubernetes' types.
type chartValues struct {
	Global struct {
		TLSDisable *bool `json:"tlsDisable"`
	} `json:"global"`
	Server struct {
		ExtraInitContainers []corev1.Container   `json:"extraInitContainers"`
		Volumes             []corev1.Volume      `json:"volumes"`
		VolumeMounts        []corev1.VolumeMount `json:"volumeMounts"`
		AuthDelegator       struct {
			Enabled bool `json:"enabled"`
		} `json:"authDelegator"`
		HA struct {
			Enabled  bool `json:"enabled"`
			Replicas int  `json:"replicas"`
			Raft     struct {
				Enabled bool   `json:"enabled"`
				Config  string `json:"config"`
			} `json:"raft"`
		} `json:"ha"`
	} `json:"server"`
}

// TestHelmValues puts what the chart passes on into a pod, for the API server to look
// at, and follows the plugin from the image to Vault's plugin directory.
func TestHelmValues(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(deployFolder(t), "helm", "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var values chartValues
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		t.Fatal(err)
	}
	server := values.Server
	if listensTLS := strings.Contains(server.HA.Raft.Config, "tls_cert_file"); values.Global.TLSDisable == nil || *values.Global.TLSDisable == listensTLS {
		t.Errorf("the listener has TLS: %t, and the chart's probes are told tlsDisable %v", listensTLS, values.Global.TLSDisable)
	}
	c := mainCluster(t)
	a := c.newAccount(t, "", "vault", nil)
	_, err = c.client.CoreV1().Pods(a.namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "vault-0"},
		Spec: corev1.PodSpec{
			ServiceAccountName: a.name,
			InitContainers:     server.ExtraInitContainers,
			Containers:         []corev1.Container{{Name: "vault", Image: "hashicorp/vault", VolumeMounts: server.VolumeMounts}},
			Volumes:            server.Volumes,
		},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		t.Error(err)
	}
	directory := pluginDirectory(t, server.HA.Raft.Config)
	mounted := func(mounts []corev1.VolumeMount, path string) bool {
		return slices.ContainsFunc(mounts, func(m corev1.VolumeMount) bool { return m.Name == "plugins" && m.MountPath == path })
	}
	copies := server.ExtraInitContainers[0]
	if !mounted(copies.VolumeMounts, directory) || !mounted(server.VolumeMounts, directory) {
		t.Errorf("plugin_directory is %s, where the volume is not mounted in both", directory)
	}
	if want := []string{"cp", "-r", imageFolder(t) + "/.", directory + "/"}; !slices.Equal(copies.Command, want) {
		t.Errorf("the init container runs %q, want %q", copies.Command, want)
	}
}

// pluginDirectory reads a server's configuration.
func pluginDirectory(t *testing.T, config string) string {
	t.Helper()
	file, problems := hclparse.NewParser().ParseHCL([]byte(config), "raft.config")
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	// Not an error if there are blocks, of which a server has some.
	attributes, _ := file.Body.JustAttributes()
	value, problems := attributes["plugin_directory"].Expr.Value(nil)
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	return value.AsString()
}

// imageFolder is where the image has the plugin.
func imageFolder(t *testing.T) string {
	t.Helper()
	dockerfile, err := os.ReadFile(filepath.Join(filepath.Dir(deployFolder(t)), "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	copied := regexp.MustCompile(`(?m)^COPY --from=build (\S+) (\S+)$`).FindStringSubmatch(string(dockerfile))
	if copied == nil || !strings.Contains(string(dockerfile), "RELEASE_DIR="+copied[1]+" ") {
		t.Fatalf("the Dockerfile does not copy what it builds: %q", copied)
	}
	return copied[2]
}
