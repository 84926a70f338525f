package doctor

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"ndock/openstack"
)

func well(format string, args ...any) Finding {
	return Finding{State: OK, Detail: fmt.Sprintf(format, args...)}
}

func unknown(format string, args ...any) Finding {
	return Finding{State: Unknown, Detail: fmt.Sprintf(format, args...)}
}

// broken is an error that a command fixes, or shows more of.
func broken(fix, format string, args ...any) Finding {
	return Finding{State: Failed, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

func doubtful(fix, format string, args ...any) Finding {
	return Finding{State: Warning, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

// unanswered is a question that the cloud would not or could not answer.
func unanswered(err error) Finding { return broken(lookInto(err), "%s", reason(err)) }

// lookInto is the command that shows more of a question without an answer.
func lookInto(err error) string {
	var explained *openstack.Error
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "ndock doctor --timeout 1m"
	case errors.As(err, &explained) && explained.Status == http.StatusUnauthorized:
		return "openstack token issue"
	case errors.As(err, &explained) && explained.Status == 0:
		return "openstack catalog list"
	}
	return "ndock doctor --debug"
}

// reason is an error as a sentence, with what may help.
func reason(err error) string {
	var explained *openstack.Error
	if !errors.As(err, &explained) {
		return err.Error()
	}
	text := explained.Error()
	if hint := explained.Hint(); hint != "" {
		text += "; " + hint
	}
	return text
}

// absent tells whether the service does not know the question.
func absent(err error) bool {
	var explained *openstack.Error
	return errors.As(err, &explained) && explained.Status == http.StatusNotFound
}

// plainWord matches what a shell takes as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9@%+=:,./_-]+$`)

// word quotes a text for a shell, where it needs that: names are others', and commands are pasted.
func word(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// words quotes each of some texts, with spaces between them.
func words(texts []string) string {
	var all []string
	for _, text := range texts {
		all = append(all, word(text))
	}
	return strings.Join(all, " ")
}

// oneLine is a text without what a terminal or a reader of lines would take for something else: names, and what services say,
// are others'.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}

func kept[T any](all []T, wanted func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(all), func(one T) bool { return !wanted(one) })
}
