// Package testbed starts a real Kubernetes API server and a real Vault, with
// this repository's plugin in Vault's plugin directory, for tests and demos.
//
// Everything listens on loopback, on ports that were free, and keeps its state
// in one temporary directory. The programs come from the environment
// (VAULT_BINARY, KUBEBUILDER_ASSETS), or are built once from the modules under
// tools/ into the user's cache directory; see [FindTools].
//
//	bed, err := testbed.Start(ctx, testbed.Options{Progress: os.Stderr})
//	if err != nil { … }
//	defer bed.Stop()
//	cmd.Env = append(os.Environ(), bed.Env()...)
//
// A second cluster beside the first, with another CA and other signing keys:
//
//	east, err := testbed.StartCluster(ctx, bed.Tools, t.TempDir(), testbed.ClusterOptions{})
//	defer east.Stop()
//
// # What is not there
//
// A cluster is etcd and kube-apiserver, with no controller manager, scheduler
// or kubelet. So:
//
//   - A new namespace has neither a `default` service account nor the
//     `kube-root-ca.crt` config map. Create what a test needs.
//   - A deleted namespace stays in phase Terminating, its objects still there.
//     Delete service accounts, pods and secrets themselves, and use a fresh
//     namespace for each test.
//   - Deleting an object deletes nothing that it owns.
//   - Nothing writes secret-based tokens; [LegacyToken] does.
//   - Pods never run. They exist as objects, which is all that a token bound to
//     a pod needs; a pod that names no node is removed at once on deletion, and
//     one that names a node only with a grace period of zero.
//   - The API server, as any does, remembers for 10 seconds that it has
//     authenticated a token, even if the account, the pod or the secret behind
//     it is deleted meanwhile. A token that it has not seen yet is refused at
//     once.
//   - RBAC, TokenRequest, TokenReview, SubjectAccessReview, the signing keys at
//     /openid/v1/jwks and anonymous requests work as in any cluster.
package testbed
