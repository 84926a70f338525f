package output

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestVisible(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                               "",
		"größe 日本 👩‍👩‍👧":                 "größe 日本 👩‍👩‍👧",
		"one\ttwo\nthree\r\n":            "one\ttwo\nthree\r\n",
		"\x1b[31mred\x1b[0m":             `\x1b[31mred\x1b[0m`,
		"\x1b]0;title\a":                 `\x1b]0;title\x07`,
		"over\rwritten":                  `over\x0dwritten`,
		"\b\b\b\x00\x7f":                 `\x08\x08\x08\x00\u007f`,
		"C1: \u009b31m":                  `C1: \u009b31m`,
		"\xff\xc3(":                      `\xff\xc3(`,
		"\ufffd":                         "\ufffd",
		"safe\u202egnp.exe":              `safe\u202egnp.exe`,
		"\u2066\u2069\u200b\ufeff\u2028": `\u2066\u2069\u200b\ufeff\u2028`,
		"\U000e0041":                     `\U000e0041`,
	} {
		if got := Visible(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

func FuzzVisible(f *testing.F) {
	for _, seed := range []string{"plain", "\x1b[2J", "a\r\nb\rc", "\xe2\x80", "\u202e", "\xff\xfe"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		shown := Visible(text)
		if !utf8.ValidString(shown) {
			t.Fatalf("%q is shown as %q, which is no UTF-8", text, shown)
		}
		for _, r := range strings.ReplaceAll(shown, "\r\n", "\n") {
			if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
				t.Fatalf("%q is shown as %q, which has %q", text, shown, r)
			}
		}
		if again := Visible(shown); again != shown {
			t.Fatalf("%q is shown as %q, and that as %q", text, shown, again)
		}
		if line := Line(text); strings.ContainsAny(line, "\r\n") {
			t.Fatalf("%q is %q, which is more than a line", text, line)
		}
	})
}

// TestHostileCells: a table shows them harmless; what scripts read is to the letter.
func TestHostileCells(t *testing.T) {
	t.Parallel()
	hostile := "a\x1b[2J\u202e\r\nb"
	for format, want := range map[string]string{
		"table": "| a\\x1b[2J\\u202e | 7 |\n| b              |   |\n",
		"value": hostile + " 7\n",
		"csv":   "\"" + hostile + "\",7\n",
		"json":  `"a\u001b[2J` + "\u202e" + `\r\nb"`,
		"yaml":  `"a\e[2J` + "\u202e" + `\r\nb"`,
	} {
		var b strings.Builder
		if err := (Style{Format: format}).List(&b, []string{"Name", "N"}, [][]any{{hostile, 7}}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), want) {
			t.Errorf("as %s it is\n%q, and has no\n%q", format, b.String(), want)
		}
	}
}

func TestMakeVisible(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if n, err := MakeVisible(&b).Write([]byte("a\x1bb\n")); n != 4 || err != nil || b.String() != "a\\x1bb\n" {
		t.Errorf("%d %v, and it wrote %q", n, err, b.String())
	}
	if ForTerminal(&b) != &b {
		t.Error("what is no terminal gets something else than what is written")
	}
}
