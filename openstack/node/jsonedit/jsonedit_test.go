package jsonedit

import "testing"

func TestWhatIsNoObject(t *testing.T) {
	for _, text := range []string{"[]", "1", `{"runtimes": []}`, `{"runtimes": null}`, "{", "{}}"} {
		if got, err := Set([]byte(text), "1", "runtimes", "ndock"); err == nil {
			t.Errorf("%s became %s", text, got)
		}
	}
}

func FuzzSet(f *testing.F) {
	f.Add(`{"a": {"b": 2}, "c": "}"}`)
	f.Add(" { } ")
	f.Add("\xef\xbb\xbf{}")
	f.Add(`"{"`)
	f.Fuzz(func(t *testing.T, text string) {
		once, err := Set([]byte(text), "1", "a", "b")
		if err != nil {
			return
		}
		again, err := Set(once, "1", "a", "b")
		if err != nil || string(again) != string(once) {
			t.Errorf("%q became %q, and that %q, %v", text, once, again, err)
		}
	})
}
