package consul

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// podsGetTokens does what a kubelet does for the pods of deploy/consul, which the commands
// of the page have applied: it puts their files where they expect them, as near as a
// process without a root of its own allows, and runs the container that gets the token.
func (f *fixture) podsGetTokens(t *testing.T) {
	for pod, description := range map[string]string{"web-login": `token created via login: {"pod":"web-login"}`, "web-agent": "token created via login"} {
		t.Run(pod, func(t *testing.T) {
			token := f.runPod(t, pod)
			client, err := consul.NewClient(&consul.Config{Address: f.server.Addr, Token: token})
			if err != nil {
				t.Fatal(err)
			}
			self, _, err := client.ACL().TokenReadSelf(nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := boundTo(self); got != bound(map[string][]string{"service": {"web"}}) || self.Description != description {
				t.Errorf("the pod has %s, %q", got, self.Description)
			}
		})
	}
}

// runPod runs the init container of a pod until it has written the file /consul/token.
func (f *fixture) runPod(t *testing.T, name string) (token string) {
	t.Helper()
	kube, err := kubernetes.NewForConfig(f.cluster.Config)
	if err != nil {
		t.Fatal(err)
	}
	pod, err := kube.CoreV1().Pods("shop").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	container := pod.Spec.InitContainers[0]
	root := t.TempDir()
	here := inside(root, f.host.Addr, container)
	for _, mounted := range container.VolumeMounts {
		dir := filepath.Join(root, mounted.MountPath)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for file, content := range volumeOf(t, kube, pod, mounted.Name) {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(here.Replace(content)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	args := append(container.Command, container.Args...)
	for i := range args {
		args[i] = here.Replace(args[i])
	}
	// env finds the program where the bed has it.
	cmd := exec.Command("env", args...)
	cmd.Env = []string{"POD=" + pod.Name, "HOME=" + root}
	for _, variable := range f.bed.Env() {
		if strings.HasPrefix(variable, "PATH=") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	for _, variable := range container.Env {
		if variable.Name != "CONSUL_CACERT" && variable.ValueFrom == nil { // the bed's Vault has no TLS
			cmd.Env = append(cmd.Env, variable.Name+"="+here.Replace(variable.Value))
		}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s", out.Bytes())
		}
	}()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if content, err := os.ReadFile(filepath.Join(root, "consul", "token")); err == nil && len(content) > 0 {
			return strings.TrimSpace(string(content))
		}
		if time.Now().After(deadline) {
			t.Error("the pod has no token after a minute")
			return ""
		}
	}
}

// inside replaces the folders of a container by those below a root, and Vault's address by
// that of a Vault without TLS.
func inside(root, vault string, c corev1.Container) *strings.Replacer {
	pairs := []string{"https://vault.vault.svc:8200", vault, "ca_cert = \"/vault-ca/ca.crt\"", ""}
	for _, mounted := range c.VolumeMounts {
		for _, before := range []string{"=", `"`, " "} {
			pairs = append(pairs, before+mounted.MountPath+"/", before+root+mounted.MountPath+"/")
		}
	}
	return strings.NewReplacer(pairs...)
}

// volumeOf are the files of a pod's volume.
func volumeOf(t *testing.T, kube kubernetes.Interface, pod *corev1.Pod, name string) map[string]string {
	t.Helper()
	for _, volume := range pod.Spec.Volumes {
		switch {
		case volume.Name != name:
		case volume.ConfigMap != nil && volume.ConfigMap.Name != "vault-ca": // which is the operator's
			config, err := kube.CoreV1().ConfigMaps(pod.Namespace).Get(t.Context(), volume.ConfigMap.Name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return config.Data
		case volume.Projected != nil:
			source := volume.Projected.Sources[0].ServiceAccountToken
			request := &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{
				Audiences: []string{source.Audience}, ExpirationSeconds: source.ExpirationSeconds,
				BoundObjectRef: &authv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
			}}
			token, err := kube.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(t.Context(), pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return map[string]string{source.Path: token.Status.Token}
		}
	}
	return nil
}
