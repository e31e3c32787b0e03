package contain_test

import (
	"errors"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/internal/contain"
)

func inner(value any) { panic(value) }

func guarded(value any) (err error) {
	defer contain.Panics(&err)
	if value != nil {
		inner(value)
	}
	return nil
}

func TestAPanicIsAnErrorWithoutItsValue(t *testing.T) {
	for _, value := range []any{"hvs.secret", errors.New("hvs.secret"), []string{"hvs.secret"}} {
		err := guarded(value)
		var fault *contain.Fault
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), "contain_test.inner (contain_test.go:") {
			t.Errorf("the error is %v", err)
		}
		if strings.Contains(err.Error(), "hvs.secret") {
			t.Errorf("the value is in %v", err)
		}
	}
	if err := guarded(nil); err != nil {
		t.Errorf("without a panic: %v", err)
	}
}
