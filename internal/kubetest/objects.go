package kubetest

import (
	"maps"
	"strconv"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// objectKey finds an object within its kind.
type objectKey struct{ namespace, name string }

var lastUID atomic.Int64

// newUID returns a uid that no other object of the process has. It has the form of
// a UUID since clients may check that.
func newUID() types.UID {
	digits := strconv.FormatInt(lastUID.Add(1), 10)
	return types.UID("00000000-0000-4000-8000-000000000000"[:36-len(digits)] + digits)
}

// meta is that of a new object. s.mu is held.
func (s *Server) meta(namespace, name string) metav1.ObjectMeta {
	s.version++
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: newUID(),
		ResourceVersion: strconv.FormatUint(s.version, 10), CreationTimestamp: metav1.Now(),
	}
}

// AddNamespace makes a namespace, or replaces the labels of one that exists. As in
// a cluster, each has the label kubernetes.io/metadata.name.
func (s *Server) AddNamespace(name string, labels map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ensureNamespace(name)
	all := map[string]string{corev1.LabelMetadataName: name}
	maps.Copy(all, labels)
	s.namespaces[name].Labels = all
}

func (s *Server) ensureNamespace(name string) {
	if s.namespaces[name] == nil {
		s.namespaces[name] = &corev1.Namespace{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
			ObjectMeta: s.meta("", name),
			Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
			Status:     corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
		}
		s.namespaces[name].Labels = map[string]string{corev1.LabelMetadataName: name}
	}
}

// DeleteNamespace removes a namespace, and, unlike a cluster, nothing that is in
// it.
func (s *Server) DeleteNamespace(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.namespaces, name)
}

// AddServiceAccount makes a service account, and its namespace if need be, and
// returns its uid. One that exists is replaced by one with a new uid, as if it had
// been deleted and created again.
func (s *Server) AddServiceAccount(namespace, name string) (uid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ensureNamespace(namespace)
	account := &corev1.ServiceAccount{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta: s.meta(namespace, name),
	}
	key := objectKey{namespace, name}
	if before := s.serviceAccounts[key]; before != nil {
		s.deleted(ServiceAccountWatch, &before.ObjectMeta)
	}
	s.serviceAccounts[key] = account
	s.happened(ServiceAccountWatch, watch.Added, &account.ObjectMeta)
	return string(account.UID)
}

// Annotate replaces the annotations of a service account that exists.
func (s *Server) Annotate(namespace, name string, annotations map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	account := s.serviceAccounts[objectKey{namespace, name}]
	account.Annotations = maps.Clone(annotations)
	s.changed(ServiceAccountWatch, &account.ObjectMeta)
}

// Label replaces the labels of a service account that exists.
func (s *Server) Label(namespace, name string, labels map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	account := s.serviceAccounts[objectKey{namespace, name}]
	account.Labels = maps.Clone(labels)
	s.changed(ServiceAccountWatch, &account.ObjectMeta)
}

// DeleteServiceAccount removes a service account; its tokens are void from then on.
func (s *Server) DeleteServiceAccount(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := objectKey{namespace, name}
	if account := s.serviceAccounts[key]; account != nil {
		s.deleted(ServiceAccountWatch, &account.ObjectMeta)
		delete(s.serviceAccounts, key)
	}
}

// AddPod makes a pod and returns its uid. node is the name of the node that it
// runs on, "" if it was not scheduled yet.
func (s *Server) AddPod(namespace, name, node string) (uid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pod := &corev1.Pod{ObjectMeta: s.meta(namespace, name), Spec: corev1.PodSpec{NodeName: node}}
	key := objectKey{namespace, name}
	if before := s.pods[key]; before != nil {
		s.deleted(PodWatch, &before.ObjectMeta)
	}
	s.pods[key] = pod
	s.happened(PodWatch, watch.Added, &pod.ObjectMeta)
	return string(pod.UID)
}

// DeletePod removes a pod; tokens bound to it are void from then on.
func (s *Server) DeletePod(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := objectKey{namespace, name}
	if pod := s.pods[key]; pod != nil {
		s.deleted(PodWatch, &pod.ObjectMeta)
		delete(s.pods, key)
	}
}

// BeginDeletion gives an object a deletionTimestamp, as the deletion of one with
// finalizers does, or that of a pod with a grace period, which is added to now.
func (s *Server) BeginDeletion(resource Resource, namespace, name string, grace time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := metav1.NewTime(time.Now().Add(grace))
	key := objectKey{namespace, name}
	if account := s.serviceAccounts[key]; resource == ServiceAccounts && account != nil {
		account.DeletionTimestamp = &at
		s.changed(ServiceAccountWatch, &account.ObjectMeta)
	}
	if pod := s.pods[key]; resource == Pods && pod != nil {
		pod.DeletionTimestamp = &at
		s.changed(PodWatch, &pod.ObjectMeta)
	}
}

// DeleteNode removes a node; tokens that are bound to it alone are void from then on.
func (s *Server) DeleteNode(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.nodes, name)
}

func (s *Server) ensureNode(name string) *corev1.Node {
	if s.nodes[name] == nil {
		s.nodes[name] = &corev1.Node{ObjectMeta: s.meta("", name)}
	}
	return s.nodes[name]
}

// DeleteSecret removes the secret of a legacy token, which is void from then on.
func (s *Server) DeleteSecret(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.secrets, objectKey{namespace, name})
}

// Grant gives a service account permissions; those for a resource are for the one
// verb that the server knows for it, on all objects.
func (s *Server) Grant(namespace, name string, resources ...Resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user := username(namespace, name)
	if s.granted[user] == nil {
		s.granted[user] = map[Resource]bool{}
	}
	for _, resource := range resources {
		s.granted[user][resource] = true
		delete(s.revoked[user], resource)
	}
}

// Revoke takes permissions away, also those that everybody has.
func (s *Server) Revoke(namespace, name string, resources ...Resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user := username(namespace, name)
	if s.revoked[user] == nil {
		s.revoked[user] = map[Resource]bool{}
	}
	for _, resource := range resources {
		delete(s.granted[user], resource)
		s.revoked[user][resource] = true
	}
}

func username(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}
