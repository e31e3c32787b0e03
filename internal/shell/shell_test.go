package shell_test

import (
	"os/exec"
	"testing"

	"vault-plugin-auth-kubernetes/internal/shell"
)

// What is quoted comes out of a real shell as it went in.
func FuzzWord(f *testing.F) {
	for _, text := range []string{"", "plain", "it's", "$(id)", "`id`", "a b", "\\", "*", "~", "#", "é\n", "-n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range text {
			if r == 0 {
				t.Skip("no argument of a command holds a zero byte")
			}
		}
		got, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+shell.Word(text)).Output()
		if err != nil || text != "-n" && string(got) != text {
			t.Errorf("%q comes out as %q: %v", text, got, err)
		}
	})
}

func TestCommented(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "sh", "-c", shell.Commented("echo a", "or: $(exit 1) %s", "'")).Output()
	if err != nil || string(out) != "a\n" {
		t.Errorf("%q, %v", out, err)
	}
}
