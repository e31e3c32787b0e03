// Package shell makes the commands that answers give for pasting into a shell.
package shell

import (
	"fmt"
	"regexp"
	"strings"
)

var plain = regexp.MustCompile(`^[A-Za-z0-9_./:=,@%+-]+$`)

// Word quotes a text for a shell where that is needed.
func Word(text string) string {
	if plain.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// Commented is a command with words behind it that a shell does not read.
func Commented(command, format string, args ...any) string {
	return command + " # " + fmt.Sprintf(format, args...)
}
