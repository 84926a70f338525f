package similar

import (
	"slices"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	t.Parallel()
	known := []string{"web", "web-1", "nginx@1", "m1.tiny", "m1.small", "list", "logs", "", "web"}
	for word, want := range map[string][]string{
		"wbe":                    {"web"},
		"weeb":                   {"web"},
		"WEB-2":                  {"web-1", "web"},
		"ngnix@1":                {"nginx@1"},
		"m1.tinny":               {"m1.tiny"},
		"lgos":                   {"logs"},
		"nope":                   nil,
		"ng":                     nil,
		"ngin":                   {"nginx@1"},
		"frobnicate":             nil,
		"":                       nil,
		strings.Repeat("x", 500): nil,
	} {
		if got := Names(word, known); !slices.Equal(got, want) {
			t.Errorf("%q may mean %q, want %q", word, got, want)
		}
	}
	if got := Names("abcd", []string{"abcde", "abce", "abcf", "abcg", "abch"}); len(got) != mostShown {
		t.Errorf("%q are shown", got)
	}
}

func TestQuestion(t *testing.T) {
	t.Parallel()
	if got := Question([]string{"a", "b"}); got != "did you mean a or b?" || Question(nil) != "" {
		t.Errorf("it is %q", got)
	}
}

func FuzzNames(f *testing.F) {
	f.Add("web", "wbe")
	f.Add("日本", "日")
	f.Fuzz(func(t *testing.T, a, b string) {
		if got, back := distance([]rune(a), []rune(b)), distance([]rune(b), []rune(a)); got != back || (got == 0) != (string([]rune(a)) == string([]rune(b))) {
			t.Errorf("from %q to %q it is %d, and back %d", a, b, got, back)
		}
		Names(a, []string{b})
	})
}
