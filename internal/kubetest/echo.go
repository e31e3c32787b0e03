package kubetest

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	authv1 "k8s.io/api/authentication/v1"
)

// Echo answers with what it was sent, request line, headers and body, as some fronts do
// that are there to help. encode is how the echo is written, and shape what is made of it.
func Echo(code int, encode func(string) string, shape func(echo string) (contentType, body string)) Fault {
	return func(w http.ResponseWriter, r *http.Request) {
		echo := encode(dump(r))
		bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		for _, header := range []string{"Www-Authenticate", "Location", "Warning", "Retry-After", "Content-Location", "X-Request"} {
			w.Header().Set(header, oneLine("299 - \""+encode(bearer)+"\""))
		}
		contentType, body := shape(echo)
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func dump(r *http.Request) string {
	var text strings.Builder
	text.WriteString(r.Method + " " + r.RequestURI + " " + r.Proto + "\r\n")
	_ = r.Header.Write(&text) // to memory
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxRequestBytes))
	text.WriteString("\r\n" + string(body))
	return text.String()
}

// oneLine makes a text fit for a header.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, text)
}

// Shapes are what a front makes of an echo.
var Shapes = map[string]func(echo string) (contentType, body string){
	"text":      func(echo string) (string, string) { return "text/plain", "you sent:\n" + echo },
	"long text": func(echo string) (string, string) { return "text/plain", strings.Repeat("word ", 380) + echo },
	"HTML": func(echo string) (string, string) {
		return "text/html", "<html><body><pre>" + echo + "</pre></body></html>"
	},
	"own JSON":   func(echo string) (string, string) { return "application/json", inJSON(map[string]any{"error": echo}) },
	"no content": func(string) (string, string) { return "", "" },
	"Status": func(echo string) (string, string) {
		return "application/json", inJSON(map[string]any{
			"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": echo, "reason": echo,
			"details": map[string]any{"name": echo, "kind": echo, "causes": []any{map[string]any{"reason": echo, "message": echo, "field": echo}}},
		})
	},
	"cut JSON": func(echo string) (string, string) {
		return "application/json", strings.TrimSuffix(inJSON(map[string]any{"kind": "Status", "apiVersion": "v1", "message": echo}), `"}`)
	},
	"other kind": func(echo string) (string, string) {
		return "application/json", inJSON(map[string]any{"kind": echo, "apiVersion": echo + "/v1", "metadata": map[string]any{"name": echo}})
	},
	"protobuf": func(echo string) (string, string) { return "application/vnd.kubernetes.protobuf", "k8s\x00" + echo },
}

func inJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// EchoReview changes an answer to a TokenReview so that one of its parts is a text.
var EchoReview = map[string]func(status *authv1.TokenReviewStatus, text string){
	"error":         func(s *authv1.TokenReviewStatus, text string) { s.Authenticated, s.Error = false, "no: "+text },
	"error, and ok": func(s *authv1.TokenReviewStatus, text string) { s.Error = text },
	"username":      func(s *authv1.TokenReviewStatus, text string) { s.User.Username = text },
	"account":       func(s *authv1.TokenReviewStatus, text string) { s.User.Username = "system:serviceaccount:apps:" + text },
	"uid":           func(s *authv1.TokenReviewStatus, text string) { s.User.UID = text },
	"audience":      func(s *authv1.TokenReviewStatus, text string) { s.Audiences = append(s.Audiences, text) },
	"audiences":     func(s *authv1.TokenReviewStatus, text string) { s.Audiences = []string{text} },
	"pod name": func(s *authv1.TokenReviewStatus, text string) {
		s.User.Extra = map[string]authv1.ExtraValue{"authentication.kubernetes.io/pod-name": {text}}
	},
	"node name": func(s *authv1.TokenReviewStatus, text string) {
		s.User.Extra = map[string]authv1.ExtraValue{"authentication.kubernetes.io/node-name": {text}}
	},
}
