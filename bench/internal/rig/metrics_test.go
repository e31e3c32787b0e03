package rig

import "testing"

func TestCountRequests(t *testing.T) {
	const metrics = `# HELP apiserver_request_total Counter of requests.
# TYPE apiserver_request_total counter
apiserver_request_total{code="201",group="authentication.k8s.io",resource="tokenreviews",verb="POST"} 1.234567e+06
apiserver_request_total{code="500",group="authentication.k8s.io",resource="tokenreviews",verb="POST"} 3
apiserver_request_total{code="201",group="",resource="serviceaccounts",subresource="token",verb="POST"} 200
`
	got, err := countRequests([]byte(metrics), "tokenreviews")
	if err != nil || got != 1234570 {
		t.Errorf("got %d, %v", got, err)
	}
	if got, err := countRequests([]byte(metrics), "pods"); err != nil || got != 0 {
		t.Errorf("of a resource that nobody asked for: %d, %v", got, err)
	}
	for name, text := range map[string]string{"another page": "up 1\n", "no metrics": "<html>"} {
		if got, err := countRequests([]byte(text), "tokenreviews"); err == nil {
			t.Errorf("%s: counted %d", name, got)
		}
	}
}
