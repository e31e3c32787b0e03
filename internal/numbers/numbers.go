// Package numbers reads numbers and durations as they were written, so that one can tell
// where Vault's framework makes others of them without a word: it cuts 500ms to no second
// at all, and reads 010 as 8.
package numbers

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Text is the value of a field as it was written; ok is false where it is empty or null,
// which resets a field.
func Text(data map[string]any, field string) (text string, ok bool) {
	switch value := data[field].(type) {
	case nil:
		return "", false
	case string:
		return value, value != ""
	case json.Number:
		return value.String(), true
	default:
		return fmt.Sprint(value), true // a number, or a flag or a list, which are none
	}
}

// likeANumber is what an error may repeat; what else stands in the field may be anything,
// such as a token by mistake.
var likeANumber = regexp.MustCompile(`^[-+]?[0-9.][0-9.a-z]{0,15}$`)

// Shown is what an answer may repeat of a text that stands for a number.
func Shown(text string) string {
	if likeANumber.MatchString(text) {
		return text
	}
	return "what was sent"
}

// IsWhole tells whether a text is a number in plain decimal digits that fits in 32 bits.
func IsWhole(text string) bool {
	n, err := strconv.ParseInt(text, 10, 32)
	return err == nil && n >= 0 && strconv.FormatInt(n, 10) == text
}

// IsWholeSeconds tells whether a text is a duration of whole seconds.
func IsWholeSeconds(text string) bool {
	d, err := Duration(text)
	return err == nil && d >= 0 && d%time.Second == 0
}

// Duration reads a duration as Vault does: seconds where it has no unit, and days.
func Duration(text string) (time.Duration, error) {
	count, unit := text, time.Second
	if days, found := strings.CutSuffix(text, "d"); found {
		count, unit = days, 24*time.Hour
	}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		return time.ParseDuration(text)
	}
	if n < 0 || n > int64(time.Duration(1<<63-1)/unit) {
		return 0, errors.New("out of range")
	}
	return time.Duration(n) * unit, nil
}

// DurationReadAs says that a duration of a field was read as another than was written,
// "" if it was not. Whole seconds are kept; zero is what no second at all comes to.
func DurationReadAs(data map[string]any, field string, read time.Duration, zero string) string {
	text, ok := Text(data, field)
	if !ok {
		return ""
	}
	if written, err := Duration(text); err == nil && written == read {
		return ""
	}
	line := fmt.Sprintf("%s: %s was read as %s; whole seconds are kept", field, Shown(text), read)
	if read == 0 {
		line += ", and none means " + zero
	}
	return line + "."
}

// CountReadAs says that a number of a field was read as another than was written, "" if
// it was not.
func CountReadAs(data map[string]any, field string, read int, zero string) string {
	text, ok := Text(data, field)
	if !ok || text == strconv.Itoa(read) {
		return ""
	}
	if len(text) > 2 && strings.ContainsRune("xXbBoO", rune(text[1])) {
		if n, err := strconv.ParseInt(text, 0, 64); err == nil && n == int64(read) {
			return "" // plainly not decimal; 010 is not plain
		}
	}
	line := fmt.Sprintf("%s: %s was read as %d", field, Shown(text), read)
	if read == 0 {
		line += ", which means " + zero
	}
	return line + "."
}
