package rig

import (
	"context"
	"fmt"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"vault-plugin-auth-kubernetes/bench/internal/load"
)

// Changers are clients that change an annotation of pods in turn, in as many runs as there
// are: no value is written twice, as what changes nothing is told to nobody.
func (r *Rig) Changers(clients int, pods []Pod) []load.Caller { return changers(r.kube, clients, pods) }

func changers(kube kubernetes.Interface, clients int, pods []Pod) []load.Caller {
	next := new(atomic.Int64)
	callers := make([]load.Caller, clients)
	for i := range callers {
		callers[i] = &changer{kube: kube, pods: pods, next: next}
	}
	return callers
}

type changer struct {
	kube kubernetes.Interface
	pods []Pod
	next *atomic.Int64 // of all that were made together
}

// Call changes the next pod.
func (c *changer) Call(ctx context.Context, _ int64) error {
	n := c.next.Add(1)
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"bench/changed":"%d"}}}`, n)
	pod := c.pods[n%int64(len(c.pods))]
	_, err := c.kube.CoreV1().Pods(namespace).Patch(ctx, pod.name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}
