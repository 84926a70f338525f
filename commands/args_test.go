package commands

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// testPermute puts what is typed after "ndock" in order.
func testPermute() func(words ...string) ([]string, error) {
	app := newApp(Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
	return func(words ...string) ([]string, error) { return permute(app, append([]string{"ndock"}, words...)) }
}

// TestPermute: words are parted by | because some have spaces, and some are empty.
func TestPermute(t *testing.T) {
	t.Parallel()
	permuted := testPermute()
	for typed, want := range map[string]string{
		"":                                      "ndock",
		"list":                                  "ndock|list",
		"--version":                             "ndock|--version",
		"show|web":                              "ndock|show|--|web",
		"show|-f|json|web":                      "ndock|show|--format|json|--|web",
		"show|web|-f|json":                      "ndock|show|--format|json|--|web",
		"show|web|--format=json":                "ndock|show|--format=json|--|web",
		"delete|a|--wait|b":                     "ndock|delete|--wait|--|a|b",
		"delete|--wait=false|a":                 "ndock|delete|--wait=false|--|a",
		"list|--os-cloud|demo|-q":               "ndock|--os-cloud|demo|--quiet|list",
		"image|list|--os-cloud=demo":            "ndock|--os-cloud=demo|image|list",
		"image|--debug|list":                    "ndock|--debug|image|list",
		"--os-cloud|list|list":                  "ndock|--os-cloud|list|list",
		"image|push-glance|web:1|--name|delete": "ndock|image|push-glance|--name|delete|--|web:1",
		"image|delete|list":                     "ndock|image|delete|--|list",
		"show|list":                             "ndock|show|--|list",
		"logs|web|-n|5":                         "ndock|logs|--tail|5|--|web",
		"logs|web|--tail|-5":                    "ndock|logs|--tail|-5|--|web",
		"boot|s|-e|A=b c|--image|i":             "ndock|boot|--env|A=b c|--image|i|--|s",
		"boot|s|-e|":                            "ndock|boot|--env||--|s",
		"boot|--image|i|s|--|sh|-c|date":        "ndock|boot|--image|i|--|s|--|sh|-c|date",
		"boot|s|--flavor|f|--|ls|--wait|-x":     "ndock|boot|--flavor|f|--|s|--|ls|--wait|-x",
		"boot|s|--|--":                          "ndock|boot|--|s|--|--",
		"boot|s|--":                             "ndock|boot|--|s|--",
		"list|-c|ID|--column=Name":              "ndock|list|--column|ID|--column=Name",
		"list|-fjson|-cID":                      "ndock|list|--format=json|--column=ID",
		"boot|s|-eA=b":                          "ndock|boot|--env=A=b|--|s",
		"logs|-tail=5|web":                      "ndock|logs|--tail=5|--|web",
		"list|-q|--quiet":                       "ndock|--quiet|--quiet|list",
		"list|-qf":                              "ndock|list|-qf",
		"show|--|-odd":                          "ndock|show|--|-odd",
		"boot|--|-odd|--|true":                  "ndock|boot|--|-odd|--|true",
		"show|-":                                "ndock|show|--|-",
		"show|web|--help":                       "ndock|show|--help",
		"boot|s|--|ls|--help":                   "ndock|boot|--|s|--|ls|--help",
		"show|web|--nope":                       "ndock|show|--nope|--|web",
		"nope|--wait":                           "ndock|--wait|nope",
	} {
		var words []string
		if typed != "" {
			words = strings.Split(typed, "|")
		}
		got, err := permuted(words...)
		if err != nil || strings.Join(got, "|") != want {
			t.Errorf("%q became %q (%v), want %q", typed, strings.Join(got, "|"), err, want)
		}
	}
}

func TestMissingValue(t *testing.T) {
	t.Parallel()
	permuted := testPermute()
	for typed, command := range map[string]string{
		"show|web|-f":                      "ndock show",
		"image|push-glance|web:1|--name":   "ndock image push-glance",
		"boot|s|--image":                   "ndock boot",
		"list|--os-cloud":                  "ndock list",
		"--os-cloud":                       "ndock",
		"boot|--image|i|--network|n|-e":    "ndock boot",
		"snapshot|web|--wait|--timeout":    "ndock snapshot",
		"image|list|--column|Name|-c":      "ndock image list",
		"boot|--image|i|--count|2|--count": "ndock boot",
	} {
		words := strings.Split(typed, "|")
		_, err := permuted(words...)
		var wrong *misuse
		if !errors.As(err, &wrong) {
			t.Errorf("%q: %v, want a misuse", typed, err)
			continue
		}
		if want := "flag " + words[len(words)-1] + " needs a value"; wrong.message != want || wrong.command != command {
			t.Errorf("%q: %q of %q, want %q of %q", typed, wrong.message, wrong.command, want, command)
		}
	}
}
