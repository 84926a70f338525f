package output

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// golden compares with a file of testdata, or writes it when UPDATE is set.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("not as %s has it (UPDATE=1 writes it anew)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

var object = []Field{
	{"ID", "12"},
	{"Name", `größe "日本" a\b`},
	{"Empty", ""},
	{"None", nil},
	{"Size", int64(1500000000000)},
	{"Count", 3},
	{"Protected", true},
	{"Hidden", false},
	{"Tags", []string{"a:1", "b, c"}},
	{"No Tags", []string{}},
	{"Properties", map[string]string{"b": "2", "a": "it's <1> & more"}},
	{"No Properties", map[string]string{}},
	{"Lines", "one\ntwo"},
}

var headers = []string{"ID", "Name", "Size", "Tags"}

// rows are new each time.
func rows() [][]any {
	return [][]any{
		{"1", `say "hi", größe`, 7, []string{"a", "b"}},
		{"22", "日本", int64(1 << 40), []string{}},
		{"333", nil, 0, []string{"it's"}},
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	for _, format := range Formats {
		var b strings.Builder
		if err := (Style{Format: format}).Show(&b, object); err != nil {
			t.Fatal(err)
		}
		golden(t, "show."+format, b.String())
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	for _, format := range Formats {
		var b, empty strings.Builder
		if err := (Style{Format: format}).List(&b, headers, rows()); err != nil {
			t.Fatal(err)
		}
		golden(t, "list."+format, b.String())
		if err := (Style{Format: format}).List(&empty, headers, nil); err != nil {
			t.Fatal(err)
		}
		golden(t, "empty."+format, empty.String())
	}
}

// TestColumns: in the order in which they were asked for, in whatever case.
func TestColumns(t *testing.T) {
	t.Parallel()
	style := Style{Format: "value", Columns: []string{"size", "ID"}}
	var list, show strings.Builder
	if err := style.List(&list, headers, rows()); err != nil {
		t.Fatal(err)
	}
	if want := "7 1\n1099511627776 22\n0 333\n"; list.String() != want {
		t.Errorf("list %q, want %q", list.String(), want)
	}
	if err := style.Show(&show, object); err != nil {
		t.Fatal(err)
	}
	if want := "1500000000000\n12\n"; show.String() != want {
		t.Errorf("show %q, want %q", show.String(), want)
	}
}

func TestUnknownColumn(t *testing.T) {
	t.Parallel()
	style := Style{Format: "json", Columns: []string{"ID", "Colour"}}
	var b strings.Builder
	const want = `there is no column "Colour"; there are ID, Name, Size, Tags`
	if err := style.List(&b, headers, rows()); err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
	if err := style.Show(&b, object[:2]); err == nil || err.Error() != `there is no column "Colour"; there are ID, Name` {
		t.Errorf("error %v", err)
	}
	if b.String() != "" {
		t.Errorf("something was printed: %q", b.String())
	}
}
