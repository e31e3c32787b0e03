package kube

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pod reads the metadata of a pod. loginToken is the credential where the client has no
// reviewer's. The errors are of type *Error.
func (c *Client) Pod(ctx context.Context, loginToken, namespace, name string) (Event, error) {
	var pod Event
	err := c.do(ctx, OpPod, loginToken, func(ctx context.Context) error {
		for _, segment := range []string{namespace, name} {
			// A name becomes a part of a path, and must not lead out of it.
			if wrong := content.IsPathSegmentName(segment); segment == "" || len(wrong) > 0 {
				return errNoName
			}
		}
		object, err := c.metadata.Get().AbsPath("/api/v1/namespaces", namespace, "pods", name).SetHeader("Accept", acceptOne).MaxRetries(0).Do(ctx).Get()
		if err != nil {
			return err
		}
		found, ok := object.(*metav1.PartialObjectMetadata)
		if !ok || found.Namespace != namespace || found.Name != name || found.UID == "" {
			return errOtherObject
		}
		pod = eventOf(found)
		return nil
	})
	return pod, err
}

// errNoName is about what no object is called.
var errNoName = errors.New("no object can have that name")
